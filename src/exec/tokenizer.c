#include "exec/tokenizer_parts.h"

#include <stdlib.h>
#include <string.h>

struct source_location tokenizer_file(const struct gguf_header *header)
{
    return (struct source_location){header->name, 0, 0};
}

/* ---- metadata ---- */

bool tokenizer_array(struct diag *diag, const struct gguf_header *header, const char *key, bool strings,
                     size_t count, struct gguf_elements *elements)
{
    const struct gguf_pair *pair = gguf_pair(header, key);
    if (pair == NULL)
        return diag_error(diag, tokenizer_file(header), "%s: missing", key);
    if (pair->type != GGUF_ARRAY || (pair->of == GGUF_STRING) != strings || pair->of == GGUF_ARRAY)
        return diag_error(diag, tokenizer_file(header), "%s: expected an array of %s", key,
                          strings ? "strings" : "numbers");
    if (count > 0 && pair->length != count)
        return diag_error(diag, tokenizer_file(header), "%s: found %zu values, expected %zu, one a token",
                          key, pair->length, count);
    *elements = gguf_elements(header, pair);
    return true;
}

bool tokenizer_bool(struct diag *diag, const struct gguf_header *header, const char *key, bool *value)
{
    const struct gguf_pair *pair = gguf_pair(header, key);
    if (pair == NULL)
        return true;
    if (pair->type != GGUF_BOOL)
        return diag_error(diag, tokenizer_file(header), "%s: expected true or false", key);
    *value = pair->number != 0;
    return true;
}

static bool read_id(const struct tokenizer *tokenizer, struct diag *diag, const struct gguf_header *header,
                    const char *key, int *id)
{
    const struct gguf_pair *pair = gguf_pair(header, key);
    if (*id >= (int)tokenizer->vocabulary.count)
        *id = -1;
    if (pair == NULL)
        return true;
    if (pair->type == GGUF_STRING || pair->type == GGUF_ARRAY || pair->type == GGUF_BOOL)
        return diag_error(diag, tokenizer_file(header), "%s: expected a token's number", key);
    if (!(pair->number >= 0 && pair->number < (double)tokenizer->vocabulary.count) ||
        pair->number != (double)(int)pair->number)
        return diag_error(diag, tokenizer_file(header), "%s: found %g, expected a token's number below %zu",
                          key, pair->number, tokenizer->vocabulary.count);
    *id = (int)pair->number;
    return true;
}

/* Copies, since the header's bytes may go. */
static bool read_texts(struct vocabulary *vocabulary, struct arena *arena, struct diag *diag,
                       const struct gguf_header *header)
{
    static const char key[] = "tokenizer.ggml.tokens";
    struct gguf_elements elements;
    const char *bytes;
    size_t length, total = 0;
    if (!tokenizer_array(diag, header, key, true, 0, &elements))
        return false;
    if (elements.left == 0 || elements.left > TOKENS_MOST)
        return diag_error(diag, tokenizer_file(header), "%s: found %zu tokens, expected 1 to %d", key,
                          elements.left, TOKENS_MOST);
    vocabulary->count = elements.left;
    struct gguf_elements again = elements;
    for (size_t i = 0; gguf_next_string(&elements, &bytes, &length); i++) {
        if (length > TOKEN_BYTES_MOST)
            return diag_error(diag, tokenizer_file(header),
                              "%s: token %zu has %zu bytes, expected at most %d", key, i, length,
                              TOKEN_BYTES_MOST);
        total += length;
    }
    vocabulary->tokens = ARENA_ARRAY(arena, struct token, vocabulary->count);
    char *pool = ARENA_ARRAY(arena, char, total);
    if (vocabulary->tokens == NULL || pool == NULL)
        return diag_error(diag, tokenizer_file(header), "out of memory for %zu tokens", vocabulary->count);
    for (size_t i = 0; gguf_next_string(&again, &bytes, &length); i++) {
        if (length > 0)
            memcpy(pool, bytes, length);
        vocabulary->tokens[i] =
            (struct token){.bytes = pool, .length = (uint32_t)length, .type = TOKEN_NORMAL};
        pool += length;
    }
    return true;
}

static bool read_types(struct vocabulary *vocabulary, struct diag *diag, const struct gguf_header *header)
{
    static const char key[] = "tokenizer.ggml.token_type";
    struct gguf_elements elements;
    double type;
    if (!tokenizer_array(diag, header, key, false, vocabulary->count, &elements))
        return false;
    for (size_t i = 0; gguf_next_number(&elements, &type); i++) {
        if (!(type >= TOKEN_NORMAL && type <= TOKEN_BYTE) || type != (double)(int)type)
            return diag_error(diag, tokenizer_file(header), "%s: token %zu has type %g, expected 1 to 6", key,
                              i, type);
        vocabulary->tokens[i].type = (enum token_type)(int)type;
    }
    return true;
}

static bool read_kind(struct tokenizer *tokenizer, struct diag *diag, const struct gguf_header *header)
{
    static const char key[] = "tokenizer.ggml.model";
    const struct gguf_pair *pair = gguf_pair(header, key);
    if (pair == NULL)
        return diag_error(diag, tokenizer_file(header), "%s: missing, the file has no tokenizer", key);
    if (pair->type != GGUF_STRING)
        return diag_error(diag, tokenizer_file(header), "%s: expected a string", key);
    tokenizer->kind = TOKENIZER_BPE;
    if (pair->length == 4 && memcmp(pair->string, "gpt2", 4) == 0)
        return true;
    tokenizer->kind = TOKENIZER_SPM;
    if (pair->length == 5 && memcmp(pair->string, "llama", 5) == 0)
        return true;
    return diag_error(diag, tokenizer_file(header), "%s: found \"%.*s\", expected \"gpt2\" or \"llama\"", key,
                      (int)(pair->length < 64 ? pair->length : 64), pair->string);
}

/* What stands for unknown characters must not read as text. */
static bool check_unknown(struct tokenizer *tokenizer, struct diag *diag, const struct gguf_header *header)
{
    static const char key[] = "tokenizer.ggml.unknown_token_id";
    if (tokenizer->unknown < 0 || tokenizer->kind != TOKENIZER_SPM)
        return true;
    enum token_type type = tokenizer->vocabulary.tokens[tokenizer->unknown].type;
    if (type == TOKEN_UNKNOWN || type == TOKEN_CONTROL)
        return true;
    if (gguf_pair(header, key) != NULL)
        return diag_error(diag, tokenizer_file(header), "%s: token %d is of type %d, expected 2 or 3", key,
                          tokenizer->unknown, (int)type);
    tokenizer->unknown = -1;
    return true;
}

static bool read_ends(struct tokenizer *tokenizer, struct diag *diag, const struct gguf_header *header)
{
    if (!read_id(tokenizer, diag, header, "tokenizer.ggml.bos_token_id", &tokenizer->bos) ||
        !read_id(tokenizer, diag, header, "tokenizer.ggml.eos_token_id", &tokenizer->eos) ||
        !read_id(tokenizer, diag, header, "tokenizer.ggml.unknown_token_id", &tokenizer->unknown) ||
        !check_unknown(tokenizer, diag, header) ||
        !tokenizer_bool(diag, header, "tokenizer.ggml.add_bos_token", &tokenizer->add_bos) ||
        !tokenizer_bool(diag, header, "tokenizer.ggml.add_eos_token", &tokenizer->add_eos))
        return false;
    if (tokenizer->add_bos && tokenizer->bos < 0)
        return diag_error(diag, tokenizer_file(header),
                          "tokenizer.ggml.bos_token_id: missing, and texts begin with that token");
    if (tokenizer->add_eos && tokenizer->eos < 0)
        return diag_error(diag, tokenizer_file(header),
                          "tokenizer.ggml.eos_token_id: missing, and texts end with that token");
    return true;
}

static bool read(struct tokenizer *tokenizer, struct arena *arena, struct diag *diag,
                 const struct gguf_header *header)
{
    struct vocabulary *vocabulary = &tokenizer->vocabulary;
    if (!read_kind(tokenizer, diag, header) || !read_texts(vocabulary, arena, diag, header))
        return false;
    bool spm = tokenizer->kind == TOKENIZER_SPM;
    if ((spm || gguf_pair(header, "tokenizer.ggml.token_type") != NULL) &&
        !read_types(vocabulary, diag, header))
        return false;
    for (int i = 0; i < 256; i++)
        vocabulary->byte_token[i] = -1;
    return (spm ? tokenizer_spm_read(tokenizer, arena, diag, header)
                : tokenizer_bpe_read(tokenizer, arena, diag, header)) &&
           read_ends(tokenizer, diag, header);
}

struct tokenizer *tokenizer_new(struct arena *arena, struct diag *diag, const struct gguf_header *header)
{
    struct tokenizer *tokenizer = ARENA_NEW(arena, struct tokenizer);
    if (tokenizer == NULL) {
        diag_error(diag, tokenizer_file(header), "out of memory");
        return NULL;
    }
    tokenizer->bos = tokenizer->eos = tokenizer->unknown = -1;
    return read(tokenizer, arena, diag, header) ? tokenizer : NULL;
}

/* ---- encoding ---- */

static bool grow(struct encoder *encoder)
{
    enum { TOKENS_AT_FIRST = 256 };
    size_t most = encoder->most > 0 ? 2 * encoder->most : TOKENS_AT_FIRST;
    int *tokens = realloc(encoder->tokens, most * sizeof *tokens);
    if (tokens == NULL)
        return diag_error(encoder->diag, NOWHERE, "out of memory for %zu tokens", most);
    encoder->tokens = tokens;
    encoder->most = most;
    return true;
}

bool encoder_add(struct encoder *encoder, int token)
{
    if (encoder->count == encoder->most && !grow(encoder))
        return false;
    encoder->tokens[encoder->count++] = token;
    encoder->after_unknown = false;
    return true;
}

static bool encode_part(struct encoder *encoder, size_t from, size_t to)
{
    if (from == to)
        return true;
    return encoder->tokenizer->kind == TOKENIZER_SPM ? tokenizer_spm_encode(encoder, from, to)
                                                     : tokenizer_bpe_encode(encoder, from, to);
}

/* Tokens of the cuts are taken out first, leftmost and longest; what is between them is the kind's. */
static bool encode_parts(struct encoder *encoder)
{
    const struct vocabulary *vocabulary = &encoder->tokenizer->vocabulary;
    size_t from = 0;
    for (size_t at = 0; encoder->cuts->count > 0 && at < encoder->length;) {
        int token = vocabulary_cut(vocabulary, encoder->cuts, encoder->text + at, encoder->length - at);
        if (token < 0) {
            at++;
            continue;
        }
        if (!encode_part(encoder, from, at) || !encoder_add(encoder, token))
            return false;
        at += vocabulary->tokens[token].length;
        from = at;
    }
    return encode_part(encoder, from, encoder->length);
}

static bool encode(struct encoder *encoder)
{
    const struct tokenizer *tokenizer = encoder->tokenizer;
    if (tokenizer->has_unused)
        encoder->splits = calloc(tokenizer->vocabulary.count, sizeof *encoder->splits);
    if (tokenizer->has_unused && encoder->splits == NULL)
        return diag_error(encoder->diag, NOWHERE, "out of memory for %zu tokens",
                          tokenizer->vocabulary.count);
    return (!tokenizer->add_bos || encoder_add(encoder, tokenizer->bos)) && encode_parts(encoder) &&
           (!tokenizer->add_eos || encoder_add(encoder, tokenizer->eos));
}

static void warn_of_two_beginnings(const struct encoder *encoder)
{
    const struct tokenizer *tokenizer = encoder->tokenizer;
    if (tokenizer->add_bos && encoder->count > 1 && encoder->tokens[1] == tokenizer->bos)
        diag_warning(encoder->diag, NOWHERE,
                     "the text begins with the beginning token, which the tokenizer adds too: there are two");
}

static bool keep(const struct encoder *encoder, struct arena *arena, int **tokens, size_t *count)
{
    *tokens = ARENA_ARRAY(arena, int, encoder->count);
    if (*tokens == NULL)
        return diag_error(encoder->diag, NOWHERE, "out of memory for %zu tokens", encoder->count);
    if (encoder->count > 0)
        memcpy(*tokens, encoder->tokens, encoder->count * sizeof **tokens);
    *count = encoder->count;
    return true;
}

bool tokenizer_encode(const struct tokenizer *tokenizer, struct arena *arena, struct diag *diag,
                      const char *text, size_t length, enum text_reading reading, int **tokens, size_t *count)
{
    if (length > TEXT_BYTES_MOST)
        return diag_error(diag, NOWHERE, "the text has %zu bytes, expected at most %d", length,
                          TEXT_BYTES_MOST);
    const struct vocabulary *vocabulary = &tokenizer->vocabulary;
    struct encoder encoder = {.tokenizer = tokenizer,
                              .diag = diag,
                              .text = text,
                              .length = length,
                              .cuts =
                                  reading == READ_CONTROL_TOKENS ? &vocabulary->special : &vocabulary->user};
    struct text normal = {0};
    if (tokenizer->kind == TOKENIZER_SPM) {
        tokenizer_spm_normalise(text, length, &normal);
        encoder.text = normal.data;
        encoder.length = normal.length;
    }
    bool ok =
        (!normal.failed || diag_error(diag, NOWHERE, "out of memory for a text of %zu bytes", length)) &&
        encode(&encoder) && keep(&encoder, arena, tokens, count);
    if (ok)
        warn_of_two_beginnings(&encoder);
    free(encoder.tokens);
    free(encoder.splits);
    merger_free(&encoder.merger);
    text_free(&encoder.part);
    text_free(&normal);
    return ok;
}

/* ---- decoding ---- */

void tokenizer_decode(const struct tokenizer *tokenizer, int token, struct text *out)
{
    if (token < 0 || (size_t)token >= tokenizer->vocabulary.count)
        return;
    const struct token *it = &tokenizer->vocabulary.tokens[token];
    if (it->type == TOKEN_CONTROL || it->type == TOKEN_UNKNOWN)
        return;
    if (tokenizer->kind == TOKENIZER_SPM && it->type != TOKEN_BYTE)
        tokenizer_spm_spaces(it->bytes, it->length, out);
    else
        text_addn(out, it->bytes, it->length);
}

int tokenizer_end(const struct tokenizer *tokenizer)
{
    return tokenizer->eos;
}

int tokenizer_size(const struct tokenizer *tokenizer)
{
    return (int)tokenizer->vocabulary.count;
}
