/* Fuzz target: command lines. The input is the words, a newline between two, the command first. Parses and
 * asks for help; runs no estimate. Whatever comes in, it must end with options or with an error, never both
 * or neither. */
#include "cli/commands.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MOST = 256, INPUT_MOST = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int split(char *text, const char *words[WORDS_MOST])
{
    int count = 0;
    char *rest = text;
    for (char *word = strsep(&rest, "\n"); word != NULL && count < WORDS_MOST; word = strsep(&rest, "\n"))
        words[count++] = word;
    return count;
}

static void check_values(const struct options *options, const struct option_rules *rules)
{
    for (int id = 0; id < OPTION_COUNT; id++) {
        if (options->counts[id] > 0 && (rules->allowed & OPTION_BIT(id)) == 0)
            abort(); /* an option that the command does not take */
        const struct option *option = &option_table[id];
        for (size_t i = 0; options->values[id] != NULL && i < options->counts[id]; i++) {
            const struct option_value *value = &options->values[id][i];
            if (value->text == NULL || value->text[0] == '\0')
                abort();
            if (option->kind == VALUE_NUMBER &&
                !(value->number >= option->min && value->number <= option->max))
                abort();
        }
    }
}

static void parse(const struct command *command, struct arena *arena, int count, const char *const *words)
{
    struct diag diag = {.arena = arena};
    struct options options = {0};
    struct text page = {0};
    bool good = options_parse(&options, arena, &diag, &command->rules, count, words);
    if (good != (diag.errors == 0))
        abort(); /* refused without a reason, or accepted with one */
    if (good)
        check_values(&options, &command->rules);
    if (good && option_given(&options, OPTION_HELP))
        help_page(command, &page);
    text_free(&page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *words[WORDS_MOST];
    struct arena *arena = arena_new(64 << 20);
    char *text = size <= INPUT_MOST ? malloc(size + 1) : NULL;
    if (arena == NULL || text == NULL) {
        arena_free(arena);
        free(text);
        return 0;
    }
    memcpy(text, data, size);
    text[size] = '\0';
    struct diag diag = {.arena = arena};
    int count = split(text, words);
    const struct command *command = command_find(&diag, words[0]);
    if (command != NULL)
        parse(command, arena, count - 1, words + 1);
    for (size_t i = 0; command == NULL && i < command_count; i++)
        parse(commands[i], arena, count, words);
    free(text);
    arena_free(arena);
    return 0;
}
