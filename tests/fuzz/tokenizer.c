/* Tokenizers: two bytes of length, a GGUF header of that length, text. Any header is refused or gives tokens
 * that are in the vocabulary and read back as the text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "exec/tokenizer.h"

enum { ARENA_BYTES = 256 << 20 };

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* The tokens' bytes; the number of tokens that have none. */
static size_t decode(const struct tokenizer *tokenizer, const int *tokens, size_t count, struct text *out)
{
    size_t empty = 0;
    for (size_t i = 0; i < count; i++) {
        size_t before = out->length;
        check(tokens[i] >= 0 && tokens[i] < tokenizer_size(tokenizer));
        tokenizer_decode(tokenizer, tokens[i], out);
        empty += out->length == before;
    }
    return empty;
}

/* SentencePiece reads U+2581 as a space, and puts one in front of each part. */
static size_t without_spaces(char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        if (length - i >= 3 && memcmp(text + i, "\xe2\x96\x81", 3) == 0) {
            i += 2;
        } else if (text[i] != ' ') {
            text[count++] = text[i];
        }
    return count;
}

static void round_trip(const struct tokenizer *tokenizer, struct arena *arena, struct diag *diag,
                       const char *text, size_t length)
{
    int *tokens, *ends;
    size_t count, end_count;
    struct text out = {0}, none = {0};
    int errors = diag->errors;
    bool ok = tokenizer_encode(tokenizer, arena, diag, text, length, READ_LITERALLY, &tokens, &count);
    check(ok == (diag->errors == errors));
    if (!ok)
        return;
    check(tokenizer_encode(tokenizer, arena, diag, "", 0, READ_LITERALLY, &ends, &end_count) &&
          end_count <= 2);
    text_add(&out, "");
    size_t empty = decode(tokenizer, tokens, count, &out);
    if (empty <= decode(tokenizer, ends, end_count, &none) && length > 0) { /* no unknown ones */
        char *wanted = arena_strndup(arena, text, length);
        check(wanted != NULL);
        size_t found = without_spaces(out.data, out.length), asked = without_spaces(wanted, length);
        check(memmem(out.data, found, wanted, asked) != NULL);
    }
    if (tokenizer_encode(tokenizer, arena, diag, text, length, READ_CONTROL_TOKENS, &tokens, &count))
        decode(tokenizer, tokens, count, &out);
    text_free(&out);
    text_free(&none);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *bytes = (const char *)data + 2;
    size_t head = (size_t)(data[0] | data[1] << 8);
    if (head > size - 2)
        return 0;
    struct arena *arena = arena_new(ARENA_BYTES);
    struct diag diag = {.arena = arena};
    struct gguf_header header;
    if (gguf_header_parse(&header, arena, &diag, "fuzz", bytes, head)) {
        struct tokenizer *tokenizer = tokenizer_new(arena, &diag, &header);
        check((tokenizer != NULL) == (diag.errors == 0));
        if (tokenizer != NULL)
            round_trip(tokenizer, arena, &diag, bytes + head, size - 2 - head);
    }
    arena_free(arena);
    return 0;
}
