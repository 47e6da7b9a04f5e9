#include "base/suggest.h"

#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

enum { NAME_MOST = 63 };

struct folded {
    char text[NAME_MOST + 1];
    int length;
};

static struct folded fold(const char *name)
{
    struct folded folded = {.length = 0};
    for (; *name != '\0' && folded.length < NAME_MOST; name++) {
        char c = (char)tolower((unsigned char)*name);
        folded.text[folded.length++] = c == '_' || c == ' ' ? '-' : c;
    }
    return folded;
}

static int min(int a, int b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: d[i][j] is the distance of the first i and the first j characters, one of
 *   d[i-1][j] + 1, d[i][j-1] + 1 (a character dropped or added), d[i-1][j-1] + (a_i != b_j) (kept or
 * replaced), d[i-2][j-2] + 1 when the last two are the same swapped. Three rows are held. (Boytsov 2011,
 * Indexing methods for approximate dictionary searching, section 2.2.) */
static int folded_distance(const struct folded *a, const struct folded *b)
{
    int rows[3][NAME_MOST + 1];
    for (int j = 0; j <= b->length; j++)
        rows[0][j] = j;
    for (int i = 1; i <= a->length; i++) {
        int *row = rows[i % 3];
        const int *above = rows[(i + 2) % 3];
        const int *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (int j = 1; j <= b->length; j++) {
            char x = a->text[i - 1], y = b->text[j - 1];
            row[j] = min(min(above[j], row[j - 1]) + 1, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == b->text[j - 2] && y == a->text[i - 2])
                row[j] = min(row[j], above2[j - 2] + 1);
        }
    }
    return rows[a->length % 3][b->length];
}

int edit_distance(const char *a, const char *b)
{
    struct folded x = fold(a), y = fold(b);
    return folded_distance(&x, &y);
}

/* How far a candidate is from what was written, or INT_MAX when too far. An edit costs 2; to stop early is
 * worse than one slip and better than two; a part from the middle is worse; something to spare at the end is
 * worst. */
static int mismatch(const struct folded *name, const struct folded *candidate)
{
    enum { EDIT = 2, PREFIX = 3, PART = 5, EXTENDED = 7 };
    int most = name->length / 3 > 1 ? name->length / 3 : 1;
    int distance = folded_distance(name, candidate);
    int best = distance <= most ? EDIT * distance : INT_MAX;
    if (distance == name->length && distance == candidate->length)
        best = INT_MAX; /* nothing in common: "a" is not "b" */
    bool prefix = strncmp(name->text, candidate->text, (size_t)name->length) == 0;
    if (name->length >= 2 && prefix)
        best = min(best, PREFIX);
    if (name->length >= 3 && strstr(candidate->text, name->text) != NULL)
        best = min(best, PART);
    if (candidate->length >= 3 && strncmp(name->text, candidate->text, (size_t)candidate->length) == 0)
        best = min(best, EXTENDED);
    return best;
}

const char *suggest_nearest(const char *name, const char *const *candidates, size_t count)
{
    struct folded wanted = fold(name);
    if (wanted.length == 0)
        return NULL;
    const char *nearest = NULL;
    int least = INT_MAX;
    for (size_t i = 0; i < count; i++) {
        struct folded candidate = fold(candidates[i]);
        int cost = mismatch(&wanted, &candidate);
        if (cost < least) {
            least = cost;
            nearest = candidates[i];
        }
    }
    return nearest;
}
