#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Under AddressSanitizer what is not handed out is poisoned and each allocation ends in a gap, so that an
 * overrun inside a block is found as it would be with malloc. */
#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(memory, size)   __asan_poison_memory_region((memory), (size))
#define UNPOISON(memory, size) __asan_unpoison_memory_region((memory), (size))
enum { GAP = 16 };
#else
#define POISON(memory, size)   ((void)(memory), (void)(size))
#define UNPOISON(memory, size) ((void)(memory), (void)(size))
enum { GAP = 0 };
#endif

enum { ALIGNMENT = 16, FIRST_BLOCK = 64 * 1024, LARGEST_STEP = 8 * 1024 * 1024 };

static const size_t DEFAULT_LIMIT = (size_t)1 << 30;

/* A block's memory starts HEADER bytes behind it. */
struct block {
    struct block *previous;
    size_t size; /* bytes of memory */
    size_t used;
};

enum { HEADER = (sizeof(struct block) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT };

struct arena {
    struct block *block; /* the one being filled; full ones behind it */
    size_t limit;
    size_t held; /* bytes of memory in all blocks */
    size_t used;
};

static unsigned char *block_memory(struct block *block)
{
    return (unsigned char *)block + HEADER;
}

/* Not inlined: gcc would warn that fresh memory goes uninitialised to a function that reads it, which it does
 * not. */
__attribute__((noinline)) static void block_poison(struct block *block)
{
    POISON(block_memory(block), block->size);
}

static struct block *block_new(size_t size)
{
    if (size > SIZE_MAX - HEADER)
        return NULL;
    struct block *block = malloc(HEADER + size);
    if (block == NULL)
        return NULL;
    *block = (struct block){NULL, size, 0};
    block_poison(block);
    return block;
}

static void block_free(struct block *block)
{
    UNPOISON(block_memory(block), block->size);
    free(block);
}

struct arena *arena_new(size_t limit_bytes)
{
    struct arena *arena = malloc(sizeof *arena);
    if (arena != NULL)
        *arena = (struct arena){.limit = limit_bytes == 0 ? DEFAULT_LIMIT : limit_bytes};
    return arena;
}

static void free_blocks(struct arena *arena)
{
    while (arena->block != NULL) {
        struct block *previous = arena->block->previous;
        block_free(arena->block);
        arena->block = previous;
    }
    arena->held = 0;
}

void arena_free(struct arena *arena)
{
    if (arena == NULL)
        return;
    free_blocks(arena);
    free(arena);
}

/* Adds a block that holds at least `needed` bytes; blocks grow with the arena, so that their number stays
 * small. */
static bool arena_grow(struct arena *arena, size_t needed)
{
    if (needed > arena->limit - arena->held)
        return false;
    size_t size = arena->held == 0 ? FIRST_BLOCK : arena->held;
    if (size > LARGEST_STEP)
        size = LARGEST_STEP;
    if (size > arena->limit - arena->held)
        size = arena->limit - arena->held;
    if (size < needed)
        size = needed;
    struct block *block = block_new(size);
    if (block == NULL)
        return false;
    block->previous = arena->block;
    arena->block = block;
    arena->held += size;
    return true;
}

/* size rounded up to the alignment; 0 on overflow. */
static size_t padded_size(size_t size)
{
    if (size > SIZE_MAX - ALIGNMENT - GAP)
        return 0;
    if (size == 0)
        size = 1;
    return (size + GAP + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

void *arena_alloc(struct arena *arena, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size)
        return NULL;
    size_t bytes = count * size;
    size_t padded = padded_size(bytes);
    if (padded == 0)
        return NULL;
    struct block *block = arena->block;
    if (block == NULL || padded > block->size - block->used) {
        if (!arena_grow(arena, padded))
            return NULL;
        block = arena->block;
    }
    unsigned char *memory = block_memory(block) + block->used;
    block->used += padded;
    arena->used += padded;
    UNPOISON(memory, bytes);
    return memset(memory, 0, bytes);
}

char *arena_strndup(struct arena *arena, const char *text, size_t length)
{
    if (length == SIZE_MAX)
        return NULL;
    char *copy = arena_alloc(arena, length + 1, 1);
    if (copy != NULL && length > 0)
        memcpy(copy, text, length);
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_strndup(arena, text, strlen(text));
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    char *text = length < 0 ? NULL : arena_alloc(arena, (size_t)length + 1, 1);
    if (text != NULL)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    va_end(arguments);
    return text;
}

/* Several blocks become one of their joint size: the next round then finds all it needs in one piece. */
static void join_blocks(struct arena *arena)
{
    size_t held = arena->held;
    free_blocks(arena);
    arena->block = block_new(held);
    if (arena->block != NULL)
        arena->held = held;
}

void arena_reset(struct arena *arena)
{
    arena->used = 0;
    if (arena->block == NULL)
        return;
    if (arena->block->previous != NULL) {
        join_blocks(arena);
        return;
    }
    arena->block->used = 0;
    block_poison(arena->block);
}

size_t arena_used(const struct arena *arena)
{
    return arena->used;
}
