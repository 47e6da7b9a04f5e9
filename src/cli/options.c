#include "cli/options.h"

#include "base/suggest.h"

#include <ctype.h>
#include <string.h>

/* A parse in progress. */
struct parse {
    struct options *options;
    struct arena *arena;
    struct diag *diag;
    const struct option_rules *rules;
    const char *const *argv;
    int argc;
    int at;
};

static bool is_allowed(const struct parse *parse, enum option_id id)
{
    return (parse->rules->allowed & OPTION_BIT(id)) != 0;
}

static bool is_listed(const struct parse *parse, enum option_id id)
{
    return (parse->rules->listed & OPTION_BIT(id)) != 0;
}

bool option_given(const struct options *options, enum option_id id)
{
    return options->counts[id] > 0;
}

const char *option_text(const struct options *options, enum option_id id)
{
    return options->values[id] != NULL && options->counts[id] > 0
               ? options->values[id][options->counts[id] - 1].text
               : NULL;
}

double option_number(const struct options *options, enum option_id id)
{
    return options->values[id] != NULL && options->counts[id] > 0
               ? options->values[id][options->counts[id] - 1].number
               : 0.0;
}

size_t option_names(option_set allowed, struct arena *arena, const char *names[OPTION_COUNT])
{
    size_t count = 0;
    for (int id = 0; id < OPTION_COUNT; id++) {
        const char *name =
            (allowed & OPTION_BIT(id)) != 0 ? arena_printf(arena, "--%s", option_table[id].name) : NULL;
        if (name != NULL)
            names[count++] = name;
    }
    return count;
}

static bool unknown_option(struct parse *parse, const char *word, size_t length)
{
    const char *names[OPTION_COUNT];
    size_t count = option_names(parse->rules->allowed, parse->arena, names);
    const char *found = arena_strndup(parse->arena, word, length);
    size_t dashes = found != NULL ? strspn(found, "-") : 0;
    const char *bare = found != NULL ? found + dashes : "";
    const char *full = arena_printf(parse->arena, "--%s", bare);
    const char *nearest = full != NULL && strlen(bare) > 1 ? suggest_nearest(full, names, count) : NULL;
    if (nearest != NULL)
        return diag_error(parse->diag, NOWHERE, "unknown option %.80s; did you mean %s?", found, nearest);
    return diag_error(parse->diag, NOWHERE, "unknown option %.80s; --help lists them",
                      found != NULL ? found : "");
}

/* Numbers are checked here, so that "--batch nan" is refused where it stands. */
static bool read_number(struct parse *parse, enum option_id id, const char *text, double *number)
{
    const struct option *option = &option_table[id];
    char error[256];
    if (!quantity_parse(text, option->dimension, number, error, sizeof error))
        return diag_error(parse->diag, NOWHERE, "--%s: %s", option->name, error);
    if (!(*number >= option->min && *number <= option->max))
        return diag_error(parse->diag, NOWHERE, "--%s: found %.80s, expected a number from %.12g to %.12g",
                          option->name, text, option->min, option->max);
    return true;
}

static bool check_setting(struct parse *parse, const char *text)
{
    const char *equals = strchr(text, '=');
    if (equals != NULL && equals > text && equals[1] != '\0')
        return true;
    return diag_error(parse->diag, NOWHERE,
                      "--set: found \"%.80s\", expected KEY=VALUE such as hardware.power.tdp=600W", text);
}

/* Room for one more value; VALUES_MOST bounds what a hostile command line can make. */
static struct option_value *next_value(struct parse *parse, enum option_id id)
{
    struct options *options = parse->options;
    if (options->values[id] == NULL)
        options->values[id] = ARENA_ARRAY(parse->arena, struct option_value, VALUES_MOST);
    if (options->values[id] == NULL || options->counts[id] == VALUES_MOST) {
        diag_error(parse->diag, NOWHERE, "--%s: more than %d values", option_table[id].name, VALUES_MOST);
        return NULL;
    }
    return &options->values[id][options->counts[id]++];
}

static bool store(struct parse *parse, enum option_id id, const char *text)
{
    const struct option *option = &option_table[id];
    struct option_value value = {.text = text}, *place;
    if (text[0] == '\0')
        return diag_error(parse->diag, NOWHERE, "--%s: found nothing, expected %s", option->name,
                          option->value);
    if (option->kind == VALUE_NUMBER && !read_number(parse, id, text, &value.number))
        return false;
    if (option->kind == VALUE_SETTING && !check_setting(parse, text))
        return false;
    place = next_value(parse, id);
    if (place == NULL)
        return false;
    *place = value;
    return true;
}

/* "a,b,c": each its own value. */
static bool store_list(struct parse *parse, enum option_id id, const char *text)
{
    while (true) {
        size_t length = strcspn(text, ",");
        const char *part = arena_strndup(parse->arena, text, length);
        if (part == NULL)
            return diag_error(parse->diag, NOWHERE, "out of memory");
        if (!store(parse, id, part))
            return false;
        if (text[length] == '\0')
            return true;
        text += length + 1;
    }
}

static bool store_value(struct parse *parse, enum option_id id, const char *text)
{
    const struct option *option = &option_table[id];
    if (is_listed(parse, id))
        return store_list(parse, id, text);
    if (!option->repeats && option_given(parse->options, id))
        return diag_error(parse->diag, NOWHERE, "--%s is given twice: %.80s and %.80s%s", option->name,
                          option_text(parse->options, id), text,
                          option->kind == VALUE_NONE || option->group == GROUP_REPORT
                              ? ""
                              : "; `rafter compare` puts several side by side");
    return store(parse, id, text);
}

/* "-5" is a value (and a bad number, said so later); "-d" and "--device" are options. */
static bool looks_like_option(const char *word)
{
    return word[0] == '-' && (word[1] == '-' || isalpha((unsigned char)word[1])) &&
           strcasecmp(word, "-inf") != 0 && strcasecmp(word, "-nan") != 0;
}

static bool take_value(struct parse *parse, enum option_id id, const char *attached)
{
    const struct option *option = &option_table[id];
    if (option->kind == VALUE_NONE) {
        if (attached != NULL)
            return diag_error(parse->diag, NOWHERE, "--%s takes no value, found \"%.80s\"", option->name,
                              attached);
        parse->options->counts[id] = 1;
        return true;
    }
    if (attached != NULL)
        return store_value(parse, id, attached);
    if (parse->at >= parse->argc || looks_like_option(parse->argv[parse->at]))
        return diag_error(parse->diag, NOWHERE, "--%s needs a value: --%s %s", option->name, option->name,
                          option->value);
    return store_value(parse, id, parse->argv[parse->at++]);
}

static bool parse_long(struct parse *parse, const char *word)
{
    size_t length = strcspn(word, "=");
    const char *attached = word[length] == '=' ? word + length + 1 : NULL;
    for (int id = 0; id < OPTION_COUNT; id++) {
        const char *name = option_table[id].name;
        if (is_allowed(parse, id) && strlen(name) == length - 2 && strncmp(name, word + 2, length - 2) == 0)
            return take_value(parse, id, attached);
    }
    return unknown_option(parse, word, length);
}

static bool parse_short(struct parse *parse, const char *word)
{
    for (int id = 0; id < OPTION_COUNT; id++) {
        if (!is_allowed(parse, id) || option_table[id].letter != word[1])
            continue;
        if (word[2] == '\0')
            return take_value(parse, id, NULL);
        if (option_table[id].kind == VALUE_NUMBER)
            return take_value(parse, id, word + 2);
    }
    return unknown_option(parse, word, strcspn(word, "="));
}

static bool parse_operand(struct parse *parse, const char *word)
{
    struct options *options = parse->options;
    const struct option_rules *rules = parse->rules;
    if ((int)options->operand_count < rules->operands_most) {
        options->operands[options->operand_count++] = word;
        return true;
    }
    if (rules->operands_most == 0)
        return diag_error(parse->diag, NOWHERE, "unexpected \"%.80s\": this command takes only options",
                          word);
    return diag_error(parse->diag, NOWHERE, "unexpected \"%.80s\": this command takes %s%s", word,
                      rules->operands_most == 1 ? "one operand, " : "", rules->operand);
}

static bool parse_word(struct parse *parse, bool *only_operands)
{
    const char *word = parse->argv[parse->at++];
    if (*only_operands || word[0] != '-' || word[1] == '\0')
        return parse_operand(parse, word);
    if (strcmp(word, "--") == 0) {
        *only_operands = true;
        return true;
    }
    return word[1] == '-' ? parse_long(parse, word) : parse_short(parse, word);
}

static bool asks_for_help(int argc, const char *const *argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

bool options_parse(struct options *options, struct arena *arena, struct diag *diag,
                   const struct option_rules *rules, int argc, const char *const *argv)
{
    struct parse parse = {options, arena, diag, rules, argv, argc, 0};
    bool only_operands = false, good = true;
    *options = (struct options){0};
    if (asks_for_help(argc, argv) && (rules->allowed & OPTION_BIT(OPTION_HELP)) != 0) {
        options->counts[OPTION_HELP] = 1;
        return true;
    }
    while (parse.at < argc)
        good = parse_word(&parse, &only_operands) && good;
    return good;
}
