/* Characters and their classes, as pre-tokenizers tell them apart. */
#ifndef RAFTER_EXEC_UNICODE_H
#define RAFTER_EXEC_UNICODE_H

#include <stddef.h>
#include <stdint.h>

/* By general category (Unicode 14.0, chapter 4.5); SPACE is White_Space. */
enum char_class {
    CHAR_OTHER,
    CHAR_SPACE,
    CHAR_NUMBER, /* N */
    CHAR_MARK,   /* M */
    CHAR_PUNCTUATION,
    CHAR_SYMBOL,
    CHAR_UPPER, /* Lu, Lt */
    CHAR_LOWER, /* Ll */
    CHAR_LETTER /* Lm, Lo */
};

enum { NOT_A_CHAR = 0x110000 };

/* The character at the beginning of `length` bytes; *size is its bytes. What is no UTF-8 (RFC 3629, section
 * 4) is NOT_A_CHAR, one byte at a time. length > 0. */
uint32_t utf8_decode(const char *bytes, size_t length, size_t *size);

/* Writes the UTF-8 of a code point below NOT_A_CHAR; returns its 1 to 4 bytes. */
size_t utf8_encode(uint32_t point, char bytes[4]);

enum char_class char_class(uint32_t point); /* NOT_A_CHAR: OTHER */

/* unicode_table.c: where classes begin, ascending, code point << 4 | class. */
extern const uint32_t unicode_starts[];
extern const size_t unicode_start_count;
extern const uint8_t unicode_ascii[128]; /* the classes of ASCII, for speed */

#endif
