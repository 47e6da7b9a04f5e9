/* What `rafter run` runs: weights from a file or made up, prompts from a text, ids or made up. */
#include "cli/run.h"

#include "base/file.h"
#include "base/random.h"
#include "cli/weights_path.h"
#include "exec/runner_check.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool refuse(enum exit_status status)
{
    return status != STATUS_BAD;
}

/* ---- weights ---- */

/* The type that most bytes of the layers' matrices are in. */
static enum weight_type main_type(const struct weights *weights)
{
    double bytes[WEIGHT_TYPE_COUNT] = {0};
    enum weight_type most = WEIGHT_F32;
    struct tensor tensor;
    for (int layer = 0; layer < weights_model(weights)->layers; layer++)
        for (int role = ROLE_Q; role < ROLE_COUNT; role++)
            if (weights_find(weights, (enum tensor_role)role, layer, 0, &tensor))
                bytes[tensor.type] +=
                    (double)tensor.rows * (double)weight_row_bytes(tensor.type, tensor.cols);
    for (int type = 0; type < WEIGHT_TYPE_COUNT; type++)
        if (bytes[type] > bytes[most])
            most = (enum weight_type)type;
    return most;
}

/* The type of --weights; WEIGHT_TYPE_COUNT: not given. */
static bool asked_type(struct session *session, enum weight_type *type)
{
    const char *name = option_text(&session->options, OPTION_WEIGHTS);
    *type = name != NULL ? weight_type_parse(name) : WEIGHT_TYPE_COUNT;
    if (name == NULL || *type != WEIGHT_TYPE_COUNT)
        return true;
    return refuse(session_refuse(
        session,
        "--weights %.80s: expected fp32, fp16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k or q6_k",
        name));
}

static bool open_file(struct session *session, struct run_input *input, const char *path,
                      enum weight_type asked)
{
    if (option_given(&session->options, OPTION_RANDOM_SEED))
        return refuse(session_refuse(
            session, "%.200s has weights; --random-seed makes those of a model's description", path));
    input->weights = weights_open(session->arena, &session->diag, path);
    if (input->weights == NULL)
        return false;
    input->type = main_type(input->weights);
    if (asked != WEIGHT_TYPE_COUNT && asked != input->type)
        return refuse(session_refuse(session,
                                     "--weights %s: %.200s has %s and is run as it is; `rafter quantize` "
                                     "writes it in another type",
                                     weight_layouts[asked].name, path, weight_layouts[input->type].name));
    return true;
}

/* The model alone: weights are made up once all else has been found in order. */
static bool find_model(struct session *session, struct run_input *input, const char *name,
                       enum weight_type asked)
{
    input->model = catalogue_model(&session->catalogue, &session->diag, name, NULL);
    if (input->model == NULL)
        return false;
    input->type = asked != WEIGHT_TYPE_COUNT ? asked : weight_type_parse(input->model->weight_type.name);
    if (input->type == WEIGHT_TYPE_COUNT)
        input->type = WEIGHT_BF16; /* of models whose checkpoints are in a type that is not run here */
    return true;
}

static double number_or(const struct session *session, enum option_id id, double otherwise)
{
    return option_given(&session->options, id) ? option_number(&session->options, id) : otherwise;
}

static bool make_random(struct session *session, struct run_input *input)
{
    if (input->weights == NULL)
        input->weights = weights_random(session->arena, &session->diag, input->model, input->type,
                                        (uint64_t)number_or(session, OPTION_RANDOM_SEED, 1));
    return input->weights != NULL;
}

static bool open_model(struct session *session, struct run_input *input)
{
    const char *name = option_text(&session->options, OPTION_MODEL);
    enum weight_type asked;
    if (name == NULL)
        return refuse(session_refuse(session, "run which model? -m MODEL.gguf, a folder of safetensors, or a "
                                              "name of the catalogue for random weights"));
    if (!asked_type(session, &asked))
        return false;
    bool opened = holds_weights(name) ? open_file(session, input, name, asked)
                                      : find_model(session, input, name, asked);
    if (!opened)
        return false;
    if (input->weights != NULL)
        input->model = weights_model(input->weights);
    input->name = input->model->id != NULL ? input->model->id : name;
    return runner_check_model(input->model, &session->diag);
}

/* The option that gives the prompt as text; NULL: none. */
static const char *text_option(const struct session *session)
{
    return option_given(&session->options, OPTION_PROMPT_TEXT) ? "--text"
           : option_given(&session->options, OPTION_TEXT_FILE) ? "--text-file"
                                                               : NULL;
}

/* The tokenizer, where there is one; a text needs it. */
static bool open_tokenizer(struct session *session, struct run_input *input)
{
    const struct gguf_header *header = input->weights != NULL ? weights_gguf(input->weights) : NULL;
    bool needed = text_option(session) != NULL;
    struct diag quiet = {.arena = session->arena};
    if (header != NULL)
        input->tokenizer = tokenizer_new(session->arena, needed ? &session->diag : &quiet, header);
    if (input->tokenizer != NULL && tokenizer_size(input->tokenizer) > input->model->vocab)
        return refuse(session_refuse(session, "the tokenizer has %d tokens, the model %d",
                                     tokenizer_size(input->tokenizer), input->model->vocab));
    if (input->tokenizer != NULL || !needed)
        return true;
    if (header != NULL)
        return false; /* said by tokenizer_new */
    return refuse(session_refuse(session,
                                 input->weights != NULL
                                     ? "%s: only tokenizers of GGUF files are read; give --token-ids"
                                     : "%s: random weights have no tokenizer; give --token-ids or --prompt N",
                                 text_option(session)));
}

/* ---- prompts ---- */

static bool bad_id(struct session *session, const char *at, const struct model *model)
{
    return refuse(session_refuse(
        session, "--token-ids: found \"%.20s\", expected ids of 0 to %d between commas: 1,300,17", at,
        model->vocab - 1));
}

static bool parse_ids(struct session *session, const struct model *model, const char *text, int **tokens,
                      size_t *count)
{
    size_t commas = 0;
    for (const char *at = text; *at != '\0'; at++)
        commas += *at == ',';
    *tokens = ARENA_ARRAY(session->arena, int, commas + 1);
    if (*tokens == NULL)
        return refuse(session_refuse(session, "out of memory"));
    for (const char *at = text;; at++) {
        char *end;
        errno = 0;
        long id = strtol(at, &end, 10);
        if (*at < '0' || *at > '9' || errno != 0 || id >= model->vocab || (*end != ',' && *end != '\0'))
            return bad_id(session, at, model);
        (*tokens)[(*count)++] = (int)id;
        if (*end == '\0')
            return true;
        at = end;
    }
}

static bool draw_ids(struct session *session, const struct model *model, uint64_t seed, size_t count,
                     int **tokens)
{
    *tokens = ARENA_ARRAY(session->arena, int, count);
    if (*tokens == NULL)
        return refuse(session_refuse(session, "out of memory for %zu prompt tokens", count));
    for (size_t i = 0; i < count; i++)
        (*tokens)[i] = (int)(random_bits(&seed) % (uint64_t)model->vocab);
    return true;
}

static bool encode_text(struct session *session, const struct run_input *input, int **tokens, size_t *count)
{
    const char *text = option_text(&session->options, OPTION_PROMPT_TEXT);
    const char *path = option_text(&session->options, OPTION_TEXT_FILE);
    size_t length = text != NULL ? strlen(text) : 0;
    if (text == NULL)
        text = file_read(session->arena, &session->diag, path, TEXT_BYTES_MOST, &length);
    bool control = option_given(&session->options, OPTION_SPECIAL);
    if (text == NULL || !tokenizer_encode(input->tokenizer, session->arena, &session->diag, text, length,
                                          control ? READ_CONTROL_TOKENS : READ_LITERALLY, tokens, count))
        return false;
    return *count > 0 || refuse(session_refuse(session, "%s: no tokens", text_option(session)));
}

/* One prompt for all sequences; *tokens NULL: none was given, ids are drawn for each. */
static bool given_prompt(struct session *session, struct run_input *input, int **tokens, size_t *count)
{
    static const enum option_id ways[] = {OPTION_PROMPT_TEXT, OPTION_TEXT_FILE, OPTION_TOKEN_IDS,
                                          OPTION_PROMPT};
    const char *ids = option_text(&session->options, OPTION_TOKEN_IDS);
    int given = 0;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        given += option_given(&session->options, ways[i]);
    if (given > 1)
        return refuse(
            session_refuse(session, "--text, --text-file, --token-ids and --prompt: give one of them"));
    if (option_given(&session->options, OPTION_SPECIAL) && text_option(session) == NULL)
        return refuse(
            session_refuse(session, "--special is about a prompt's text: give --text or --text-file"));
    if (ids != NULL)
        return parse_ids(session, input->model, ids, tokens, count);
    return text_option(session) == NULL || encode_text(session, input, tokens, count);
}

static bool fill_prompts(struct session *session, struct run_input *input, int *shared, size_t count)
{
    struct generation_request *request = &input->request;
    size_t sequences = (size_t)request->sequences;
    int **prompts = ARENA_ARRAY(session->arena, int *, sequences);
    int *lengths = ARENA_ARRAY(session->arena, int, sequences);
    if (prompts == NULL || lengths == NULL)
        return refuse(session_refuse(session, "out of memory"));
    for (size_t s = 0; s < sequences; s++) {
        prompts[s] = shared;
        lengths[s] = (int)count;
        if (shared == NULL &&
            !draw_ids(session, input->model, request->seed + s * 0x51ed27, count, &prompts[s]))
            return false;
    }
    request->prompts = (const int *const *)prompts;
    request->prompt_tokens = lengths;
    input->longest = (int)count;
    return true;
}

/* Beyond the context that a model was trained for it runs as well, where positions are computed. */
static bool check_context(struct session *session, const struct run_input *input, size_t prompt)
{
    double sum = (double)prompt + input->request.output_tokens;
    if (sum > INT_MAX / 2)
        return refuse(session_refuse(session, "prompt %zu + output %d: too many tokens", prompt,
                                     input->request.output_tokens));
    const struct model *model = input->model;
    if (model->max_context <= 0 || sum <= model->max_context)
        return true;
    if (model->learned_positions > 0)
        return refuse(session_refuse(
            session, "prompt %zu + output %d = %.0f tokens exceed the positions that %s learned, %d", prompt,
            input->request.output_tokens, sum, input->name, model->max_context));
    diag_warning(&session->diag, NOWHERE,
                 "prompt %zu + output %d = %.0f tokens exceed %s's context of %d: times are right, what it "
                 "says is not",
                 prompt, input->request.output_tokens, sum, input->name, model->max_context);
    return true;
}

static bool make_request(struct session *session, struct run_input *input)
{
    enum { SEQUENCES_MOST = 65536, PROMPT_TOKENS = 1024, OUTPUT_TOKENS = 128 };
    struct generation_request *request = &input->request;
    double batch = number_or(session, OPTION_BATCH, 1);
    if (batch > SEQUENCES_MOST)
        return refuse(session_refuse(session, "--batch: found %.0f, at most %d sequences run at once", batch,
                                     SEQUENCES_MOST));
    *request = (struct generation_request){
        .sequences = (int)batch,
        .output_tokens = (int)number_or(session, OPTION_OUTPUT, OUTPUT_TOKENS),
        .end_token = input->tokenizer != NULL ? tokenizer_end(input->tokenizer) : -1,
        .sampling = {.temperature = (float)number_or(session, OPTION_TEMPERATURE, 0),
                     .top_k = (int)number_or(session, OPTION_TOP_K, 0),
                     .top_p = (float)number_or(session, OPTION_TOP_P, 1)},
        .seed = (uint64_t)number_or(session, OPTION_SEED, 1),
        .all_logits = option_given(&session->options, OPTION_LOGITS),
    };
    int *shared = NULL;
    size_t count = 0;
    if (request->all_logits && request->sequences > 1)
        return refuse(session_refuse(session, "--logits is of one sequence; found --batch %.0f", batch));
    if (!given_prompt(session, input, &shared, &count))
        return false;
    if (shared == NULL)
        count = (size_t)number_or(session, OPTION_PROMPT, PROMPT_TOKENS);
    return check_context(session, input, count) && fill_prompts(session, input, shared, count);
}

bool run_input_open(struct session *session, struct run_input *input)
{
    *input = (struct run_input){0};
    return open_model(session, input) && open_tokenizer(session, input) && make_request(session, input) &&
           make_random(session, input);
}
