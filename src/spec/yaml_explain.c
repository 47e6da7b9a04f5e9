#include "spec/yaml_explain.h"

#include <string.h>

/* libyaml speaks of tokens and contexts; people wrote keys and values. */
struct explanation {
    const char *problem; /* as libyaml puts it */
    const char *meaning;
};

static const struct explanation explanations[] = {
    {"mapping values are not allowed in this context",
     "a ':' where no key can be; quote the value if the ':' belongs to it, else check the indentation"},
    {"block sequence entries are not allowed in this context",
     "a '-' where no list item can be; check the indentation"},
    {"mapping keys are not allowed in this context", "a '?' key where no key can be"},
    {"could not find expected ':'", "expected ':' after this key"},
    {"did not find expected key",
     "expected a key such as \"name: value\"; check the indentation and the quotes"},
    {"did not find expected '-' indicator",
     "expected the next list item to begin with '-'; check the indentation"},
    {"did not find expected ',' or ']'", "expected ',' or ']'; the list in brackets is not closed"},
    {"did not find expected ',' or '}'", "expected ',' or '}'; the map in braces is not closed"},
    {"found unexpected end of stream", "a quote that is not closed before the file ends"},
    {"found unexpected document indicator", "a quote that is not closed before the document ends"},
    {"did not find expected <document start>", "expected the end of the file; check the indentation"},
    {"found incompatible YAML document", "expected YAML 1.1 or 1.2"},
    {"did not find expected node content", "expected a value"},
    {"found unknown escape character",
     "an unknown escape in a text with double quotes; write '\\\\' for a backslash or use single quotes"},
    {"did not find expected hexdecimal number", "expected hexadecimal digits after the escape"},
    {"found a tab character that violates indentation", "a tab; indent with spaces"},
    {"found a tab character where an indentation space is expected", "a tab; indent with spaces"},
};

/* The byte that the character of an index starts with, '\0' at the end: libyaml counts characters. */
static char byte_at(const char *text, size_t length, size_t index)
{
    for (size_t i = 0; i < length; i++) {
        if (((unsigned char)text[i] & 0xc0) == 0x80)
            continue;
        if (index-- == 0)
            return text[i];
    }
    return '\0';
}

bool yaml_blames_start(const yaml_parser_t *parser)
{
    static const char *const problems[] = {"could not find expected ':'", "found unexpected end of stream",
                                           "found unexpected document indicator"};
    if (parser->problem == NULL || parser->context == NULL)
        return false;
    for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++)
        if (strcmp(problems[i], parser->problem) == 0)
            return true;
    return false;
}

const char *yaml_explain(const yaml_parser_t *parser, const char *text, size_t length)
{
    const char *problem = parser->problem == NULL ? "not YAML" : parser->problem;
    if (strcmp(problem, "found character that cannot start any token") == 0) {
        switch (byte_at(text, length, parser->problem_mark.index)) {
        case '\t':
            return "a tab; indent with spaces";
        case '@':
        case '`':
            return "a value cannot begin with '@' or '`'; quote it";
        case '%':
            return "a value cannot begin with '%'; quote it";
        default:
            return "a character that cannot begin a value; quote it";
        }
    }
    for (size_t i = 0; i < sizeof explanations / sizeof explanations[0]; i++)
        if (strcmp(explanations[i].problem, problem) == 0)
            return explanations[i].meaning;
    return problem;
}
