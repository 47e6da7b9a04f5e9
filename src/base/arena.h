/* Arena: memory that is freed all at once. Everything a request builds (trees, models, plans) lives in one,
 * so that error paths have nothing to unwind. */
#ifndef RAFTER_BASE_ARENA_H
#define RAFTER_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena;

/* A new arena that refuses to grow past limit_bytes (0: 1 GiB). NULL when memory is out. */
struct arena *arena_new(size_t limit_bytes);

/* Frees the arena and all that was allocated from it. NULL is allowed. */
void arena_free(struct arena *arena);

/* Zeroed memory, aligned to 16 bytes, valid until arena_reset or arena_free. NULL when the limit or the
 * machine's memory is reached. count * size is checked for overflow. */
void *arena_alloc(struct arena *arena, size_t count, size_t size);

/* Copies of strings; NULL when memory is out. arena_printf formats into the arena. */
char *arena_strndup(struct arena *arena, const char *text, size_t length);
char *arena_strdup(struct arena *arena, const char *text);
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Forgets all allocations but keeps the memory, so that a loop over plans does not visit malloc. */
void arena_reset(struct arena *arena);

/* Bytes handed out since the last reset. */
size_t arena_used(const struct arena *arena);

#define ARENA_NEW(arena, type)          ((type *)arena_alloc((arena), 1, sizeof(type)))
#define ARENA_ARRAY(arena, type, count) ((type *)arena_alloc((arena), (count), sizeof(type)))

#endif
