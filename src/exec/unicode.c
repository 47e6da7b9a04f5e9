#include "exec/unicode.h"

uint32_t utf8_decode(const char *bytes, size_t length, size_t *size)
{
    /* by length: bits of the first byte, and the least code point, since longer forms are no UTF-8 */
    static const uint32_t masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07}, least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)bytes[0];
    size_t count = first < 0x80   ? 1
                   : first < 0xc2 ? 0
                   : first < 0xe0 ? 2
                   : first < 0xf0 ? 3
                   : first < 0xf5 ? 4
                                  : 0;
    *size = 1;
    if (count == 0 || count > length)
        return NOT_A_CHAR;
    uint32_t point = first & masks[count];
    for (size_t i = 1; i < count; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if ((byte & 0xc0) != 0x80)
            return NOT_A_CHAR;
        point = point << 6 | (byte & 0x3f);
    }
    if (point < least[count] || point >= NOT_A_CHAR || (point >= 0xd800 && point < 0xe000))
        return NOT_A_CHAR;
    *size = count;
    return point;
}

size_t utf8_encode(uint32_t point, char bytes[4])
{
    static const unsigned char firsts[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t count = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = count; i-- > 1; point >>= 6)
        bytes[i] = (char)(0x80 | (point & 0x3f));
    bytes[0] = (char)(firsts[count] | point);
    return count;
}

enum char_class char_class(uint32_t point)
{
    size_t low = 0, high = unicode_start_count; /* the class begins in [low, high) */
    if (point < 128)
        return (enum char_class)unicode_ascii[point];
    if (point >= NOT_A_CHAR)
        return CHAR_OTHER;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (unicode_starts[middle] >> 4 <= point)
            low = middle;
        else
            high = middle;
    }
    return (enum char_class)(unicode_starts[low] & 15);
}
