/* Byte-level BPE, as GPT-2 has it (https://github.com/openai/gpt-2, src/encoder.py). */
#include "exec/tokenizer_parts.h"
#include "exec/unicode.h"

#include <string.h>

/* ---- characters for bytes ---- */

/* Vocabularies write a byte as a character that can be seen: itself where it is a visible Latin-1 one, else
 * the next from U+0100 on. */
static bool shows_itself(unsigned byte)
{
    return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

enum { BYTE_CHARS = 0x100 + 68 }; /* 68 bytes do not show themselves */

static void byte_chars(short bytes[BYTE_CHARS])
{
    int next = 0x100;
    for (int i = 0; i < BYTE_CHARS; i++)
        bytes[i] = -1;
    for (int byte = 0; byte < 256; byte++)
        bytes[shows_itself((unsigned)byte) ? byte : next++] = (short)byte;
}

/* The bytes that characters stand for, in `out`, which has room for length; it may be `chars`, which stays as
 * it was then where one of them stands for none: -1. */
static ptrdiff_t to_bytes(const short table[BYTE_CHARS], const char *chars, size_t length, char *out)
{
    size_t size;
    for (size_t at = 0; at < length; at += size) {
        uint32_t point = utf8_decode(chars + at, length - at, &size);
        if (point >= BYTE_CHARS || table[point] < 0)
            return -1;
    }
    ptrdiff_t count = 0;
    for (size_t at = 0; at < length; at += size)
        out[count++] = (char)table[utf8_decode(chars + at, length - at, &size)];
    return count;
}

/* Normal tokens become the bytes that they stand for, in place. Those written in other characters (Command R
 * has some, such as U+200D as it is) are never made by merges, and must not be taken for what spells the same
 * bytes. */
static void decode_tokens(struct vocabulary *vocabulary, const short table[BYTE_CHARS])
{
    for (size_t i = 0; i < vocabulary->count; i++) {
        struct token *token = &vocabulary->tokens[i];
        if (token->type != TOKEN_NORMAL)
            continue;
        char *bytes = (char *)(uintptr_t)token->bytes; /* a copy that is ours */
        ptrdiff_t count = to_bytes(table, bytes, token->length, bytes);
        if (count < 0) {
            token->type = TOKEN_UNUSED;
            continue;
        }
        token->length = (uint32_t)count;
        if (token->length == 1 && vocabulary->byte_token[(unsigned char)bytes[0]] < 0)
            vocabulary->byte_token[(unsigned char)bytes[0]] = (int)i;
    }
}

/* ---- merges ---- */

static uint64_t pair_hash(uint32_t left, uint32_t right)
{
    return hash_mix((uint64_t)left << 32 | right);
}

static bool add_merge(struct tokenizer *tokenizer, struct merge_slot merge)
{
    uint64_t hash = pair_hash(merge.left, merge.right);
    for (size_t probe = 0; probe < PROBES_MOST; probe++) {
        struct merge_slot *slot = &tokenizer->merges[(hash + probe) & (tokenizer->merge_slots - 1)];
        if (!slot->used) {
            *slot = merge;
            return true;
        }
        if (slot->left == merge.left && slot->right == merge.right)
            return true; /* the first counts */
    }
    return false;
}

static bool find_merge(void *context, const char *word, const struct symbol *left, const struct symbol *right,
                       uint32_t *priority, int32_t *token)
{
    const struct tokenizer *tokenizer = context;
    (void)word;
    uint32_t a = (uint32_t)left->token, b = (uint32_t)right->token;
    uint64_t hash = pair_hash(a, b);
    for (size_t probe = 0; probe < PROBES_MOST; probe++) {
        const struct merge_slot *slot = &tokenizer->merges[(hash + probe) & (tokenizer->merge_slots - 1)];
        if (!slot->used)
            return false;
        if (slot->left == a && slot->right == b) {
            *priority = slot->rank;
            *token = (int32_t)slot->token;
            return true;
        }
    }
    return false;
}

/* Whether the bytes are those of a user-defined token. Text never has them whole when merging begins, so that
 * merges from or to them cannot happen. */
static bool is_user(const struct vocabulary *vocabulary, const char *bytes, size_t length)
{
    int token = vocabulary_cut(vocabulary, &vocabulary->user, bytes, length);
    return token >= 0 && vocabulary->tokens[token].length == length;
}

/* "left right": the parts and the whole must be tokens. */
static bool read_merge(struct tokenizer *tokenizer, struct diag *diag, const struct gguf_header *header,
                       const short table[BYTE_CHARS], uint32_t rank, const char *text, size_t length)
{
    static const char key[] = "tokenizer.ggml.merges";
    char bytes[2 * TOKEN_BYTES_MOST];
    if (length > sizeof bytes)
        return diag_error(diag, tokenizer_file(header), "%s: merge %u has %zu bytes, expected at most %zu",
                          key, rank, length, sizeof bytes);
    const char *space = length > 1 ? memchr(text + 1, ' ', length - 1) : NULL;
    if (space == NULL || space + 1 == text + length)
        return diag_error(diag, tokenizer_file(header), "%s: merge %u: expected two tokens and a space", key,
                          rank);
    ptrdiff_t left = to_bytes(table, text, (size_t)(space - text), bytes);
    ptrdiff_t right =
        left < 0 ? -1 : to_bytes(table, space + 1, length - (size_t)(space - text) - 1, bytes + left);
    if (right < 0)
        return true; /* of characters that no text becomes */
    const char *parts[] = {bytes, bytes + left, bytes};
    size_t lengths[] = {(size_t)left, (size_t)right, (size_t)(left + right)};
    int ids[3];
    for (int i = 0; i < 3; i++) {
        ids[i] = vocabulary_find(&tokenizer->vocabulary, parts[i], lengths[i]);
        if (ids[i] >= 0)
            continue;
        if (is_user(&tokenizer->vocabulary, parts[i], lengths[i]))
            return true;
        static const char *const names[] = {"its left part", "its right part", "what it makes"};
        return diag_error(diag, tokenizer_file(header), "%s: merge %u: %s is no normal token", key, rank,
                          names[i]);
    }
    struct merge_slot merge = {(uint32_t)ids[0], (uint32_t)ids[1], rank, (uint32_t)ids[2], true};
    return add_merge(tokenizer, merge) ||
           diag_error(diag, tokenizer_file(header), "%s: the merges are made to collide", key);
}

static bool read_merges(struct tokenizer *tokenizer, struct arena *arena, struct diag *diag,
                        const struct gguf_header *header, const short table[BYTE_CHARS])
{
    struct gguf_elements elements;
    const char *text;
    size_t length;
    if (!tokenizer_array(diag, header, "tokenizer.ggml.merges", true, 0, &elements))
        return false;
    if (elements.left > MERGES_MOST)
        return diag_error(diag, tokenizer_file(header),
                          "tokenizer.ggml.merges: found %zu merges, expected at most %d", elements.left,
                          MERGES_MOST);
    tokenizer->merge_slots = 2;
    while (tokenizer->merge_slots < 2 * elements.left)
        tokenizer->merge_slots *= 2;
    tokenizer->merges = ARENA_ARRAY(arena, struct merge_slot, tokenizer->merge_slots);
    if (tokenizer->merges == NULL)
        return diag_error(diag, tokenizer_file(header), "out of memory for %zu merges", elements.left);
    for (uint32_t rank = 0; gguf_next_string(&elements, &text, &length); rank++)
        if (!read_merge(tokenizer, diag, header, table, rank, text, length))
            return false;
    return true;
}

/* ---- reading ---- */

static bool read_words(struct tokenizer *tokenizer, struct diag *diag, const struct gguf_header *header)
{
    static const char key[] = "tokenizer.ggml.pre";
    const struct gguf_pair *pair = gguf_pair(header, key);
    if (pair == NULL) {
        diag_warning(diag, tokenizer_file(header), "%s: missing, words are split as GPT-2 does", key);
        tokenizer->words = pretokenizer_find("gpt-2", 5);
        return true;
    }
    if (pair->type != GGUF_STRING)
        return diag_error(diag, tokenizer_file(header), "%s: expected a string", key);
    tokenizer->words = pretokenizer_find(pair->string, pair->length);
    if (tokenizer->words != NULL && strcmp(tokenizer->words->name, "default") == 0)
        diag_warning(diag, tokenizer_file(header), "%s: \"default\", words are split as GPT-2 does", key);
    if (tokenizer->words != NULL)
        return true;
    struct text known = {0};
    pretokenizer_names(&known);
    diag_error(diag, tokenizer_file(header), "%s: found \"%.*s\", expected one of %s", key,
               (int)(pair->length < 64 ? pair->length : 64), pair->string, known.failed ? "" : known.data);
    text_free(&known);
    return false;
}

bool tokenizer_bpe_read(struct tokenizer *tokenizer, struct arena *arena, struct diag *diag,
                        const struct gguf_header *header)
{
    short table[BYTE_CHARS];
    byte_chars(table);
    if (!read_words(tokenizer, diag, header))
        return false;
    tokenizer->add_bos = tokenizer->words->add_bos;
    decode_tokens(&tokenizer->vocabulary, table);
    return vocabulary_index(&tokenizer->vocabulary, arena, diag, header->name, false) &&
           read_merges(tokenizer, arena, diag, header, table);
}

/* ---- encoding ---- */

static bool encode_word(struct encoder *encoder, const char *word, size_t length)
{
    const struct tokenizer *tokenizer = encoder->tokenizer;
    int whole = tokenizer->words->whole_words ? vocabulary_find(&tokenizer->vocabulary, word, length) : -1;
    if (whole >= 0)
        return encoder_add(encoder, whole);
    if (!merger_begin(&encoder->merger, length))
        return diag_error(encoder->diag, NOWHERE, "out of memory for a word of %zu bytes", length);
    for (size_t i = 0; i < length; i++) {
        int token = tokenizer->vocabulary.byte_token[(unsigned char)word[i]];
        if (token < 0)
            return diag_error(encoder->diag, NOWHERE,
                              "the text's byte %zu is 0x%02x, which no token stands for",
                              (size_t)(word - encoder->text) + i, (unsigned char)word[i]);
        merger_add(&encoder->merger, i, 1, token);
    }
    merger_run(&encoder->merger, word, (struct merge_rule){find_merge, (void *)(uintptr_t)tokenizer});
    for (int32_t at = 0; at >= 0; at = encoder->merger.symbols[at].next)
        if (!encoder_add(encoder, encoder->merger.symbols[at].token))
            return false;
    return true;
}

bool tokenizer_bpe_encode(struct encoder *encoder, size_t from, size_t to)
{
    struct words words = {
        .kind = encoder->tokenizer->words, .text = encoder->text + from, .length = to - from};
    size_t begin;
    while (words_next(&words, &begin))
        if (!encode_word(encoder, words.text + begin, words.at - begin))
            return false;
    return true;
}
