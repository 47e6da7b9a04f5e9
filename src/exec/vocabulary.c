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

/* ---- cut out of a text ---- */

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

static bool in_set(const struct token *token, unsigned types)
{
    return token->length > 0 && types >> token->type & 1; /* converters leave holes without text */
}

/* The tokens of these types, 1 << each. false: memory. */
static bool index_set(const struct vocabulary *vocabulary, struct arena *arena, struct token_set *set,
                      unsigned types)
{
    struct token *tokens = vocabulary->tokens;
    size_t found = 0, at = 0;
    for (size_t i = 0; i < vocabulary->count; i++)
        found += in_set(&tokens[i], types);
    uint32_t *sorted = set->tokens = ARENA_ARRAY(arena, uint32_t, found);
    if (sorted == NULL)
        return false;
    found = 0;
    for (size_t i = 0; i < vocabulary->count; i++)
        if (in_set(&tokens[i], types))
            sorted[found++] = (uint32_t)i;
    if (found > 1)
        qsort_r(sorted, found, sizeof *sorted, by_text, tokens);
    for (size_t i = 0; i < found; i++)
        if (set->count == 0 || compare(&tokens[sorted[set->count - 1]], &tokens[sorted[i]]) != 0)
            sorted[set->count++] = sorted[i];
    for (size_t byte = 0; byte <= 256; byte++) {
        while (at < set->count && (unsigned char)tokens[sorted[at]].bytes[0] < byte)
            at++;
        set->from[byte] = at;
    }
    return true;
}

/* The first of the set's [low, high) whose byte at `depth` is not below `byte`; all are longer than depth. */
static size_t first_from(const struct vocabulary *vocabulary, const struct token_set *set, size_t low,
                         size_t high, size_t depth, int byte)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((unsigned char)vocabulary->tokens[set->tokens[middle]].bytes[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int vocabulary_cut(const struct vocabulary *vocabulary, const struct token_set *set, const char *bytes,
                   size_t length)
{
    if (length == 0)
        return -1;
    unsigned char first = (unsigned char)bytes[0];
    size_t low = set->from[first], high = set->from[first + 1], depth = 1;
    int longest = -1;
    while (low < high) { /* those that share the first `depth` bytes with ours */
        uint32_t token = set->tokens[low];
        if (vocabulary->tokens[token].length == depth) {
            longest = (int)token;
            low++;
        }
        if (depth == length)
            break;
        int byte = (unsigned char)bytes[depth];
        low = first_from(vocabulary, set, low, high, depth, byte);
        high = first_from(vocabulary, set, low, high, depth, byte + 1);
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
    const unsigned user = 1u << TOKEN_USER_DEFINED,
                   special = user | 1u << TOKEN_CONTROL | 1u << TOKEN_UNKNOWN;
    if (vocabulary->slots == NULL || !index_set(vocabulary, arena, &vocabulary->user, user) ||
        !index_set(vocabulary, arena, &vocabulary->special, special))
        return diag_error(diag, in(file), "out of memory for %zu tokens", vocabulary->count);
    for (size_t i = 0; i < vocabulary->count; i++) {
        const struct token *token = &vocabulary->tokens[i];
        if (in_set(token, 1u << TOKEN_NORMAL | (unsigned)unused << TOKEN_UNUSED) &&
            !add_text(vocabulary, diag, file, (uint32_t)i))
            return false;
    }
    return true;
}
