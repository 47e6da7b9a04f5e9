/* SentencePiece's BPE (https://github.com/google/sentencepiece, src/bpe_model.cc): neighbouring pieces whose
 * joint text is a token merge, the best score first. */
#include "exec/tokenizer_parts.h"
#include "exec/unicode.h"

#include <math.h>
#include <string.h>

static const char SPACE[] = "\xe2\x96\x81"; /* U+2581, which stands for a space */
enum { SPACE_BYTES = 3 };

static bool is_space(const char *bytes, size_t length)
{
    return length >= SPACE_BYTES && memcmp(bytes, SPACE, SPACE_BYTES) == 0;
}

/* ---- reading ---- */

static int hex(char digit)
{
    return digit >= '0' && digit <= '9' ? digit - '0' : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/* "<0x0A>" becomes the byte it stands for. */
static bool read_byte(struct vocabulary *vocabulary, struct diag *diag, const struct gguf_header *header,
                      size_t id)
{
    struct token *token = &vocabulary->tokens[id];
    const char *text = token->bytes;
    int byte = -1;
    if (token->length == 6 && memcmp(text, "<0x", 3) == 0 && hex(text[3]) >= 0 && hex(text[4]) >= 0 &&
        text[5] == '>')
        byte = 16 * hex(text[3]) + hex(text[4]);
    if (byte < 0)
        return diag_error(diag, tokenizer_file(header),
                          "tokenizer.ggml.tokens: token %zu is of type byte, but its text is not like <0x0A>",
                          id);
    if (vocabulary->byte_token[byte] >= 0)
        return diag_error(diag, tokenizer_file(header),
                          "tokenizer.ggml.tokens: tokens %d and %zu stand for the same byte",
                          vocabulary->byte_token[byte], id);
    vocabulary->byte_token[byte] = (int)id;
    char *own = (char *)(uintptr_t)text; /* a copy that is ours */
    own[0] = (char)byte;
    token->length = 1;
    return true;
}

/* Tokens that are cut out of a text are met in its normal form. Their spaces are as long as three bytes
 * there. */
static bool normalise_token(struct arena *arena, struct token *token)
{
    struct text out = {0};
    tokenizer_spm_normalise(token->bytes, token->length, &out);
    if (out.length == token->length || out.failed) {
        bool ok = !out.failed;
        text_free(&out);
        return ok;
    }
    token->bytes = arena_strndup(arena, out.data, out.length);
    token->length = (uint32_t)out.length;
    text_free(&out);
    return token->bytes != NULL;
}

static bool space_inside(const struct token *token)
{
    bool other = false;
    for (uint32_t at = 0; at < token->length; at++)
        if (is_space(token->bytes + at, token->length - at)) {
            if (other)
                return true;
            at += SPACE_BYTES - 1;
        } else {
            other = true;
        }
    return false;
}

static bool read_tokens(struct tokenizer *tokenizer, struct arena *arena, struct diag *diag,
                        const struct gguf_header *header)
{
    struct vocabulary *vocabulary = &tokenizer->vocabulary;
    tokenizer->words_apart = true;
    for (size_t i = 0; i < vocabulary->count; i++) {
        struct token *token = &vocabulary->tokens[i];
        if (token->type == TOKEN_BYTE && !read_byte(vocabulary, diag, header, i))
            return false;
        bool cut =
            token->type == TOKEN_USER_DEFINED || token->type == TOKEN_CONTROL || token->type == TOKEN_UNKNOWN;
        if (cut && !normalise_token(arena, token))
            return diag_error(diag, tokenizer_file(header), "out of memory for token %zu", i);
        tokenizer->has_unused = tokenizer->has_unused || token->type == TOKEN_UNUSED;
        if ((token->type == TOKEN_NORMAL || token->type == TOKEN_UNUSED) && space_inside(token))
            tokenizer->words_apart = false;
    }
    return true;
}

static bool read_scores(struct vocabulary *vocabulary, struct diag *diag, const struct gguf_header *header)
{
    static const char key[] = "tokenizer.ggml.scores";
    struct gguf_elements elements;
    double score;
    if (!tokenizer_array(diag, header, key, false, vocabulary->count, &elements))
        return false;
    for (size_t i = 0; gguf_next_number(&elements, &score); i++) {
        if (!isfinite(score) || fabs(score) > 1e30)
            return diag_error(diag, tokenizer_file(header), "%s: token %zu has no finite score", key, i);
        vocabulary->tokens[i].score = (float)score;
    }
    return true;
}

/* Normalisation other than of spaces is SentencePiece's for unigram models ("t5"), which are not done here.
 */
static bool refuse_rules(struct diag *diag, const struct gguf_header *header)
{
    bool remove = false;
    const struct gguf_pair *map = gguf_pair(header, "tokenizer.ggml.precompiled_charsmap");
    if (map != NULL && map->length > 0)
        return diag_error(diag, tokenizer_file(header),
                          "tokenizer.ggml.precompiled_charsmap: normalising characters is not supported");
    if (!tokenizer_bool(diag, header, "tokenizer.ggml.remove_extra_whitespaces", &remove))
        return false;
    return !remove || diag_error(diag, tokenizer_file(header),
                                 "tokenizer.ggml.remove_extra_whitespaces: expected false, "
                                 "normalising spaces is not supported");
}

bool tokenizer_spm_read(struct tokenizer *tokenizer, struct arena *arena, struct diag *diag,
                        const struct gguf_header *header)
{
    /* what SentencePiece's trainer gives where the file does not say */
    tokenizer->unknown = 0;
    tokenizer->bos = 1;
    tokenizer->eos = 2;
    tokenizer->add_bos = tokenizer->space_prefix = true;
    return refuse_rules(diag, header) &&
           tokenizer_bool(diag, header, "tokenizer.ggml.add_space_prefix", &tokenizer->space_prefix) &&
           read_scores(&tokenizer->vocabulary, diag, header) && read_tokens(tokenizer, arena, diag, header) &&
           vocabulary_index(&tokenizer->vocabulary, arena, diag, header->name, true);
}

/* ---- spaces ---- */

void tokenizer_spm_normalise(const char *text, size_t length, struct text *out)
{
    for (size_t at = 0; at < length;) {
        const char *space = memchr(text + at, ' ', length - at);
        size_t plain = space == NULL ? length - at : (size_t)(space - text) - at;
        text_addn(out, text + at, plain);
        at += plain;
        if (space != NULL) {
            text_addn(out, SPACE, SPACE_BYTES);
            at++;
        }
    }
}

void tokenizer_spm_spaces(const char *bytes, size_t length, struct text *out)
{
    for (size_t at = 0; at < length;)
        if (is_space(bytes + at, length - at)) {
            text_add(out, " ");
            at += SPACE_BYTES;
        } else {
            text_addn(out, bytes + at++, 1);
        }
}

/* ---- encoding ---- */

/* Lower for higher scores; equal for 0 and -0. */
static uint32_t priority_of(float score)
{
    uint32_t bits;
    score += 0.0f;
    memcpy(&bits, &score, sizeof bits);
    return bits >> 31 ? bits : ~(bits | 0x80000000u);
}

static bool find_piece(void *context, const char *word, const struct symbol *left, const struct symbol *right,
                       uint32_t *priority, int32_t *token)
{
    struct encoder *encoder = context;
    const struct vocabulary *vocabulary = &encoder->tokenizer->vocabulary;
    *token = vocabulary_find(vocabulary, word + left->begin, left->length + right->length);
    if (*token < 0)
        return false;
    if (vocabulary->tokens[*token].type == TOKEN_UNUSED)
        encoder->splits[*token] = left->length;
    *priority = priority_of(vocabulary->tokens[*token].score);
    return true;
}

/* Characters that no token has: their bytes; without tokens for those, one unknown token for a run of them.
 */
static bool add_unknown(struct encoder *encoder, const char *bytes, size_t length)
{
    const struct tokenizer *tokenizer = encoder->tokenizer;
    for (size_t i = 0; i < length; i++) {
        int token = tokenizer->vocabulary.byte_token[(unsigned char)bytes[i]];
        if (token >= 0) {
            if (!encoder_add(encoder, token))
                return false;
            continue;
        }
        if (tokenizer->unknown < 0)
            return diag_error(encoder->diag, NOWHERE, "the text holds byte 0x%02x, which no token stands for",
                              (unsigned char)bytes[i]);
        if (!encoder->after_unknown && !encoder_add(encoder, tokenizer->unknown))
            return false;
        encoder->after_unknown = true;
    }
    return true;
}

/* Tokens that are marked as unused fall apart again into what they were made of; the parts are shorter, so
 * that the depth is at most a token's length. */
static bool add_piece(struct encoder *encoder, const char *bytes, size_t length)
{
    const struct vocabulary *vocabulary = &encoder->tokenizer->vocabulary;
    int token = vocabulary_find(vocabulary, bytes, length);
    if (token < 0)
        return add_unknown(encoder, bytes, length);
    size_t left = vocabulary->tokens[token].type == TOKEN_UNUSED ? encoder->splits[token] : 0;
    if (left == 0)
        return encoder_add(encoder, token);
    return add_piece(encoder, bytes, left) && add_piece(encoder, bytes + left, length - left);
}

static bool encode_word(struct encoder *encoder, const char *word, size_t length)
{
    struct merger *merger = &encoder->merger;
    const struct vocabulary *vocabulary = &encoder->tokenizer->vocabulary;
    size_t size;
    if (!merger_begin(merger, length))
        return diag_error(encoder->diag, NOWHERE, "out of memory for a word of %zu bytes", length);
    for (size_t at = 0; at < length; at += size) {
        utf8_decode(word + at, length - at, &size);
        merger_add(merger, at, size, -1);
    }
    merger_run(merger, word, (struct merge_rule){find_piece, encoder});
    for (int32_t at = 0; at >= 0; at = merger->symbols[at].next) {
        const struct symbol *symbol = &merger->symbols[at];
        bool plain = symbol->token >= 0 && vocabulary->tokens[symbol->token].type == TOKEN_NORMAL;
        if (plain ? !encoder_add(encoder, symbol->token)
                  : !add_piece(encoder, word + symbol->begin, symbol->length))
            return false;
    }
    return true;
}

/* Where merges may end for certain: in front of a space behind something else. */
static size_t word_end(const char *text, size_t from, size_t to)
{
    size_t at = from;
    while (at < to && is_space(text + at, to - at))
        at += SPACE_BYTES;
    while (at < to && !is_space(text + at, to - at))
        at++;
    return at;
}

static bool encode_words(struct encoder *encoder, const char *text, size_t length)
{
    for (size_t from = 0; from < length;) {
        size_t end = encoder->tokenizer->words_apart ? word_end(text, from, length) : length;
        if (!encode_word(encoder, text + from, end - from))
            return false;
        from = end;
    }
    return true;
}

/* Each part between cuts is a text of its own, with a space in front, as in llama.cpp and Hugging Face's
 * tokenizers. SentencePiece itself, which has no control tokens in texts, adds one a text. */
bool tokenizer_spm_encode(struct encoder *encoder, size_t from, size_t to)
{
    struct text *part = &encoder->part;
    if (!encoder->tokenizer->space_prefix)
        return encode_words(encoder, encoder->text + from, to - from);
    part->length = 0;
    text_addn(part, SPACE, SPACE_BYTES);
    text_addn(part, encoder->text + from, to - from);
    if (part->failed)
        return diag_error(encoder->diag, NOWHERE, "out of memory for a text of %zu bytes", to - from);
    return encode_words(encoder, part->data, part->length);
}
