#include "exec/vocabulary.h"

#include <stdlib.h>
#include <string.h>

uint64_t hash_mix(uint64_t value)
{
    /* the finaliser of MurmurHash3, https://github.com/aappleby/smhasher (public domain) */
    value = (value ^ value >> 33) * 0xff51afd7ed558ccdu;
    value = (value ^ value >> 33) * 0xc4ceb9fe1a85ec53u;
    return value ^ value >> 33;
}

uint64_t hash_bytes(const char *bytes, size_t length)
{
    uint64_t hash = length;
    for (size_t at = 0; at < length; at += 8) {
        uint64_t word = 0;
        memcpy(&word, bytes + at, length - at < 8 ? length - at : 8);
        hash = hash_mix(hash ^ word) + at;
    }
    return hash;
}

static struct source_location in(const char *file)
{
    return (struct source_location){file, 0, 0};
}

static bool same(const struct token *token, const char *bytes, size_t length)
{
    return token->length == length && (length == 0 || memcmp(token->bytes, bytes, length) == 0);
}

/* ---- by text ---- */

/* Of equal texts the first token counts: added tokens that spell a byte as it is come behind those that the
 * merges make. */
static bool add_text(struct vocabulary *vocabulary, struct diag *diag, const char *file, uint32_t id)
{
    const struct token *token = &vocabulary->tokens[id];
    uint32_t hash = (uint32_t)hash_bytes(token->bytes, token->length);
    for (size_t probe = 0; probe < PROBES_MOST; probe++) {
        struct text_slot *slot = &vocabulary->slots[(hash + probe) & (vocabulary->slot_count - 1)];
        if (slot->next == 0) {
            *slot = (struct text_slot){hash, id + 1};
            return true;
        }
        if (slot->hash == hash && same(&vocabulary->tokens[slot->next - 1], token->bytes, token->length))
            return true;
    }
    return diag_error(diag, in(file), "tokenizer.ggml.tokens: the texts are made to collide");
}

int vocabulary_find(const struct vocabulary *vocabulary, const char *bytes, size_t length)
{
    if (length > TOKEN_BYTES_MOST)
        return -1;
    uint32_t hash = (uint32_t)hash_bytes(bytes, length);
    for (size_t probe = 0; probe < PROBES_MOST; probe++) {
        const struct text_slot *slot = &vocabulary->slots[(hash + probe) & (vocabulary->slot_count - 1)];
        if (slot->next == 0)
            return -1;
        if (slot->hash == hash && same(&vocabulary->tokens[slot->next - 1], bytes, length))
            return (int)(slot->next - 1);
    }
    return -1;
}

/* ---- user-defined ---- */

static int compare(const struct token *a, const struct token *b)
{
    int order = memcmp(a->bytes, b->bytes, a->length < b->length ? a->length : b->length);
    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

static int by_text(const void *a, const void *b, void *tokens)
{
    const struct token *all = tokens;
    uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;
    int order = compare(&all[one], &all[other]);
    return order != 0 ? order : (one > other) - (one < other);
}

static void index_user(struct vocabulary *vocabulary)
{
    const struct token *tokens = vocabulary->tokens;
    uint32_t *user = vocabulary->user;
    if (vocabulary->user_count > 1)
        qsort_r(user, vocabulary->user_count, sizeof *user, by_text, vocabulary->tokens);
    size_t kept = 0, at = 0;
    for (size_t i = 0; i < vocabulary->user_count; i++)
        if (kept == 0 || compare(&tokens[user[kept - 1]], &tokens[user[i]]) != 0)
            user[kept++] = user[i];
    vocabulary->user_count = kept;
    for (size_t byte = 0; byte <= 256; byte++) {
        while (at < vocabulary->user_count && (unsigned char)tokens[user[at]].bytes[0] < byte)
            at++;
        vocabulary->user_from[byte] = at;
    }
}

/* The first of user[low, high) whose byte at `depth` is not below `byte`; all are longer than depth. */
static size_t first_from(const struct vocabulary *vocabulary, size_t low, size_t high, size_t depth, int byte)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((unsigned char)vocabulary->tokens[vocabulary->user[middle]].bytes[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int vocabulary_user(const struct vocabulary *vocabulary, const char *bytes, size_t length)
{
    if (length == 0)
        return -1;
    unsigned char first = (unsigned char)bytes[0];
    size_t low = vocabulary->user_from[first], high = vocabulary->user_from[first + 1], depth = 1;
    int longest = -1;
    while (low < high) { /* those that share the first `depth` bytes with ours */
        uint32_t token = vocabulary->user[low];
        if (vocabulary->tokens[token].length == depth) {
            longest = (int)token;
            low++;
        }
        if (depth == length)
            break;
        int byte = (unsigned char)bytes[depth];
        low = first_from(vocabulary, low, high, depth, byte);
        high = first_from(vocabulary, low, high, depth, byte + 1);
        depth++;
    }
    return longest;
}

/* ---- both ---- */

bool vocabulary_index(struct vocabulary *vocabulary, struct arena *arena, struct diag *diag, const char *file,
                      bool unused)
{
    vocabulary->slot_count = 2;
    while (vocabulary->slot_count < 2 * vocabulary->count)
        vocabulary->slot_count *= 2;
    vocabulary->slots = ARENA_ARRAY(arena, struct text_slot, vocabulary->slot_count);
    for (size_t i = 0; i < vocabulary->count; i++)
        vocabulary->user_count += vocabulary->tokens[i].type == TOKEN_USER_DEFINED;
    vocabulary->user = ARENA_ARRAY(arena, uint32_t, vocabulary->user_count);
    if (vocabulary->slots == NULL || vocabulary->user == NULL)
        return diag_error(diag, in(file), "out of memory for %zu tokens", vocabulary->count);
    vocabulary->user_count = 0;
    for (size_t i = 0; i < vocabulary->count; i++) {
        const struct token *token = &vocabulary->tokens[i];
        if (token->length == 0)
            continue; /* converters leave holes so */
        if (token->type == TOKEN_USER_DEFINED)
            vocabulary->user[vocabulary->user_count++] = (uint32_t)i;
        else if ((token->type == TOKEN_NORMAL || (unused && token->type == TOKEN_UNUSED)) &&
                 !add_text(vocabulary, diag, file, (uint32_t)i))
            return false;
    }
    index_user(vocabulary);
    return true;
}
