/* JSON building on Jansson. Every function below returns a new reference, NULL when memory is out; the
 * setters steal theirs, so that a failed part leaves nothing behind. */
#ifndef RAFTER_REPORT_JSON_H
#define RAFTER_REPORT_JSON_H

#include "base/arena.h"
#include "base/text.h"

#include <jansson.h>

/* null for NaN and infinities, which JSON has no way to write. */
json_t *json_figure(double value);
/* An integer when the value is one, so that counts read as such. */
json_t *json_count(double value);
/* null for NULL; bytes that are no UTF-8 as '?'. */
json_t *json_text(const char *text);
json_t *json_texts(const char *const *lines, size_t count);
/* Adds the document, indented by 2, doubles with 17 significant digits so that they read back exactly, and a
 * newline. Takes the reference. false when it is NULL or memory ran out. */
bool json_add(struct text *out, json_t *document);

#endif
