/* Keys of a Hugging Face config: one object of it, and typed look-ups that say what is wrong and where.
 *
 * `keys` names the alternatives that architectures use for the same thing, the first one that is there and
 * not null counts: "n_layer|num_hidden_layers". A look-up that fails leaves an error in diag and returns a
 * harmless value, so that one run names all that is wrong. */
#ifndef RAFTER_SPEC_HF_KEYS_H
#define RAFTER_SPEC_HF_KEYS_H

#include "spec/json_file.h"

struct hf_object {
    const struct json_file *file;
    const json_t *object;
    const char *path; /* "" for the document, "text_config" */
    bool nested;      /* a part of a multimodal config: transformers leaves out what has its default value */
    struct arena *arena;
    struct diag *diag;
};

/* The largest count of anything (model_read has the bounds of each), the longest list. */
enum { HF_COUNT_MOST = 1000000000, HF_LIST_MOST = 4096 };

bool hf_has(const struct hf_object *object, const char *keys);
/* A whole number from 1; it must be there. */
int hf_need(const struct hf_object *object, const char *keys);
/* The same; a nested object may leave it out and has `usual` then (0: it must be there too). */
int hf_need_or(const struct hf_object *object, const char *keys, int usual);
/* A whole number from 0. */
int hf_int(const struct hf_object *object, const char *keys, int fallback);
bool hf_bool(const struct hf_object *object, const char *keys, bool fallback);
/* A finite number from 0. */
double hf_number(const struct hf_object *object, const char *keys, double fallback);
/* Printable text of at most 200 bytes. */
const char *hf_text(const struct hf_object *object, const char *keys, const char *fallback);
/* A list; NULL when there is none. */
const json_t *hf_list(const struct hf_object *object, const char *keys);
/* A part; false when there is none. It is nested as `nested` says. */
bool hf_part(const struct hf_object *object, const char *keys, bool nested, struct hf_object *part);

/* An error at the place of a key: "key: message". Returns false. */
bool hf_error(const struct hf_object *object, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void hf_warning(const struct hf_object *object, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
