/* libyaml's messages in the words of someone who wrote a file. */
#ifndef RAFTER_SPEC_YAML_EXPLAIN_H
#define RAFTER_SPEC_YAML_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

/* What the parser's scanner or parser error means. text is what it was given. */
const char *yaml_explain(const yaml_parser_t *parser, const char *text, size_t length);

/* Whether the error is better shown where the thing in error starts (a quote, a key) than where it was
 * noticed. */
bool yaml_blames_start(const yaml_parser_t *parser);

#endif
