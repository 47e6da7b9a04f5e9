/* Headers of GGUF files, versions 2 and 3 (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), read
 * by a cursor that trusts nothing: counts, lengths and offsets are checked against what is there before they
 * are used, and every error says at which byte.
 *
 * The format: "GGUF", version u32, tensors u64, pairs u64; pairs of key (u64 length, bytes), type u32 and
 * value; tensors of name, dimensions u32, sizes u64 each (the fastest first), type u32, offset u64.
 * Little-endian. */
#ifndef RAFTER_SPEC_GGUF_HEADER_H
#define RAFTER_SPEC_GGUF_HEADER_H

#include "base/arena.h"
#include "base/diag.h"

#include <stdint.h>

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPE_COUNT
};

struct gguf_pair {
    const char *key; /* NUL-terminated, printable */
    enum gguf_type type;
    double number;         /* numbers and bools; 64-bit ones above 2^53 lose digits */
    const char *string;    /* STRING: the bytes, not terminated */
    size_t length;         /* STRING: bytes; ARRAY: elements */
    enum gguf_type of;     /* ARRAY: its elements' type */
    const double *numbers; /* ARRAY of numbers or bools of at most GGUF_NUMBERS_MOST; else NULL */
    size_t at;             /* byte where the value begins */
    size_t end;            /* byte behind it */
};

struct gguf_tensor {
    const char *name;
    int dimensions;
    uint64_t size[4]; /* fastest first; 1 beyond dimensions */
    uint32_t type;    /* ggml's number */
    double elements;
    uint64_t offset; /* of its data, from the beginning of all data; unchecked */
    size_t at;       /* byte where its entry begins */
};

struct gguf_header {
    const char *name;  /* for messages */
    const char *bytes; /* what was parsed, which must outlive this */
    size_t byte_count;
    uint32_t version;
    struct gguf_pair *pairs;
    size_t pair_count;
    struct gguf_tensor *tensors;
    size_t tensor_count;
    size_t end; /* byte behind the header; the data begins at the next multiple of the alignment */
};

/* Bounds far above any model. GGUF_BYTES_MOST is what is read of a file: headers of large vocabularies take
 * some 10 MiB. */
enum {
    GGUF_BYTES_MOST = 64 << 20,
    GGUF_PAIRS_MOST = 4096,
    GGUF_TENSORS_MOST = 100000,
    GGUF_KEY_MOST = 256,
    GGUF_NUMBERS_MOST = 4096,
    GGUF_NESTING_MOST = 4
};

/* Whether the bytes begin as a GGUF file does. */
bool gguf_is(const char *bytes, size_t length);

/* The beginning of a regular file, at most GGUF_BYTES_MOST, in the arena; NULL with an error. */
char *gguf_read(struct arena *arena, struct diag *diag, const char *path, size_t *length);

/* Reads the header; the tensors' data need not be there. Strings point into bytes, which must outlive it.
 * false with an error. */
bool gguf_header_parse(struct gguf_header *header, struct arena *arena, struct diag *diag, const char *name,
                       const char *bytes, size_t length);

/* A walk over an array's elements, where they lie in the header's bytes: long arrays need no memory. */
struct gguf_elements {
    const char *bytes;
    size_t length, at; /* of bytes */
    enum gguf_type of;
    size_t left; /* elements to come */
};

/* From the first element of an ARRAY of a header that was parsed. */
struct gguf_elements gguf_elements(const struct gguf_header *header, const struct gguf_pair *pair);

/* The next element of an array of strings (bytes, not terminated), or of numbers or bools. false: no more, or
 * another type. */
bool gguf_next_string(struct gguf_elements *elements, const char **string, size_t *length);
bool gguf_next_number(struct gguf_elements *elements, double *number);

/* By key; NULL when there is none. */
const struct gguf_pair *gguf_pair(const struct gguf_header *header, const char *key);
const struct gguf_tensor *gguf_tensor(const struct gguf_header *header, const char *name);

#endif
