#include "exec/pretokenizer.h"

#include "exec/unicode.h"

#include <string.h>

/* The regular expressions are those of the models' tokenizer.json files on https://huggingface.co (GPT-2,
 * StarCoder, Llama 3, Qwen2, GPT-4o, Mistral Nemo, DeepSeek LLM, Coder and V3, BLOOM); the names for them are
 * those of https://github.com/ggml-org/llama.cpp, which writes the files. */
#define GPT2        .family = WORDS_GPT2
#define STARCODER   .family = WORDS_GPT2, .digits = 1, .lone_digits = true
#define LLAMA3      .family = WORDS_LLAMA3, .digits = 3, .whole_words = true, .add_bos = true
#define DBRX        .family = WORDS_LLAMA3, .digits = 3
#define QWEN2       .family = WORDS_LLAMA3, .digits = 1
#define GPT4O       .family = WORDS_CASED, .digits = 3, .contractions = true
#define TEKKEN      .family = WORDS_CASED, .digits = 1, .whole_words = true, .add_bos = true
#define DEEPSEEK_V3 .family = WORDS_DEEPSEEK, .digits = 3, .lone_digits = true
static const struct pretokenizer kinds[] = {
    {"gpt-2", GPT2},
    {"default", GPT2},
    {"phi-2", GPT2},
    {"mpt", GPT2},
    {"olmo", GPT2},
    {"jais", GPT2},
    {"exaone4", GPT2},
    {"gigachat", GPT2},
    {"a.x-4.0", GPT2},
    {"mellum", GPT2},
    {"trillion", GPT2},
    {"granite-docling", GPT2},
    {"starcoder", STARCODER},
    {"refact", STARCODER},
    {"command-r", STARCODER},
    {"smollm", STARCODER},
    {"codeshell", STARCODER},
    {"exaone", STARCODER},
    {"minerva-7b", STARCODER},
    {"mellum2", STARCODER},
    {"llama-bpe", LLAMA3},
    {"llama3", LLAMA3},
    {"llama-v3", LLAMA3},
    {"falcon3", LLAMA3},
    {"falcon-h1", LLAMA3},
    {"pixtral", LLAMA3},
    {"lfm2", LLAMA3},
    {"midm-2.0", LLAMA3},
    {"dbrx", DBRX},
    {"smaug-bpe", DBRX},
    {"glm4", DBRX},
    {"chatglm-bpe", DBRX},
    {"qwen2", QWEN2},
    {"deepseek-r1-qwen", QWEN2},
    {"stablelm2", QWEN2},
    {"hunyuan", QWEN2},
    {"bailingmoe", QWEN2},
    {"bailingmoe2", QWEN2},
    {"llada-moe", QWEN2},
    {"megrez", QWEN2},
    {"grok-2", QWEN2},
    {"solar-open", QWEN2},
    {"kormo", QWEN2},
    {"qwen35", QWEN2, .marks = true},
    {"seed-coder", QWEN2, .bare_signs = true},
    {"gpt-4o", GPT4O},
    {"llama4", GPT4O},
    {"kanana2", GPT4O},
    {"minimax-m2", GPT4O},
    {"tekken", TEKKEN},
    {"deepseek-v3", DEEPSEEK_V3},
    {"hunyuan-dense", DEEPSEEK_V3},
    {"joyai-llm", DEEPSEEK_V3},
    {"deepseek-llm", .family = WORDS_STAGES}, /* DeepSeek-V2 too */
    {"deepseek-coder", .family = WORDS_STAGES, .digits = 1},
    {"bloom", .family = WORDS_BLOOM},
    {"poro-chat", .family = WORDS_BLOOM},
    {"gpt3-finnish", .family = WORDS_BLOOM},
};

enum { KINDS = sizeof kinds / sizeof *kinds };

const struct pretokenizer *pretokenizer_find(const char *name, size_t length)
{
    for (size_t i = 0; i < KINDS; i++)
        if (strlen(kinds[i].name) == length && memcmp(kinds[i].name, name, length) == 0)
            return &kinds[i];
    return NULL;
}

void pretokenizer_names(struct text *out)
{
    for (size_t i = 0; i < KINDS; i++)
        text_printf(out, "%s%s", i == 0 ? "" : ", ", kinds[i].name);
}

/* ---- characters and runs of them ---- */

#define SET(class) (1u << (class))
enum {
    SPACES = SET(CHAR_SPACE),
    NUMBERS = SET(CHAR_NUMBER),
    MARKS = SET(CHAR_MARK),
    LETTERS = SET(CHAR_UPPER) | SET(CHAR_LOWER) | SET(CHAR_LETTER),
    SIGNS = SET(CHAR_PUNCTUATION) | SET(CHAR_SYMBOL),
    REST = SET(CHAR_OTHER) | MARKS | SIGNS, /* neither space nor letter nor numeral */
    CASELESS = SET(CHAR_LETTER) | MARKS,
    CAPITALS = SET(CHAR_UPPER) | CASELESS,
    SMALLS = SET(CHAR_LOWER) | CASELESS
};

struct character {
    unsigned set; /* of its class; 0: the part ends here */
    uint32_t point;
    size_t end;
};

static struct character look(const struct words *words, size_t at)
{
    struct character character = {0, NOT_A_CHAR, at};
    if (at >= words->part)
        return character;
    size_t size;
    character.point = utf8_decode(words->text + at, words->part - at, &size);
    character.set = SET(char_class(character.point));
    character.end = at + size;
    return character;
}

static size_t run(const struct words *words, size_t at, unsigned set)
{
    for (struct character next = look(words, at); next.set & set; next = look(words, at))
        at = next.end;
    return at;
}

static size_t run_of(const struct words *words, size_t at, unsigned set, int most)
{
    if (most == 0)
        return run(words, at, set);
    for (struct character next = look(words, at); most > 0 && next.set & set; next = look(words, at), most--)
        at = next.end;
    return at;
}

static bool byte_is(const struct words *words, size_t at, const char *of)
{
    return at < words->part && words->text[at] != '\0' && strchr(of, words->text[at]) != NULL;
}

static size_t bytes_of(const struct words *words, size_t at, const char *of)
{
    while (byte_is(words, at, of))
        at++;
    return at;
}

/* ---- pieces of the expressions ---- */

/* 's|'t|'re|'ve|'m|'ll|'d; the end, or `at` where there is none. Of any case, the long s (U+017F) is one: it
 * is the only character beyond ASCII whose other case is among those letters. */
static size_t contraction(const struct words *words, size_t at, bool any_case)
{
    static const char *const endings[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    if (!byte_is(words, at, "'"))
        return at;
    struct character next = look(words, at + 1);
    if (any_case && next.point == 0x17f)
        return next.end;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t length = strlen(endings[i]), same = 0;
        while (same < length && at + 1 + same < words->part) {
            char byte = words->text[at + 1 + same];
            if (any_case && byte >= 'A' && byte <= 'Z')
                byte = (char)(byte - 'A' + 'a');
            if (byte != endings[i][same])
                break;
            same++;
        }
        if (same == length)
            return at + 1 + length;
    }
    return at;
}

/* \s+(?!\S)|\s+: all spaces but the one that the next word begins with. */
static size_t spaces(const struct words *words, size_t at)
{
    size_t end = run(words, at, SPACES), last = end;
    if (end == words->part || end == at)
        return end;
    do
        last--;
    while (((unsigned char)words->text[last] & 0xc0) == 0x80);
    return last > at ? last : end;
}

/* \s*[\r\n]+ before that: spaces to the last line end among them. */
static size_t lines_or_spaces(const struct words *words, size_t at)
{
    for (size_t last = run(words, at, SPACES); last > at; last--)
        if (byte_is(words, last - 1, "\r\n"))
            return last;
    return spaces(words, at);
}

/* " ?[set]+"; `at` where there is none. */
static size_t spaced_run(const struct words *words, size_t at, unsigned set)
{
    size_t from = byte_is(words, at, " ") ? at + 1 : at, end = run(words, from, set);
    return end > from ? end : at;
}

/* ---- the families ---- */

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static size_t word_gpt2(const struct words *words, size_t at)
{
    static const unsigned sets[] = {LETTERS, NUMBERS, REST};
    size_t end = contraction(words, at, false);
    for (size_t i = 0; end == at && i < 3; i++)
        end = spaced_run(words, at, sets[i]);
    return end > at ? end : spaces(words, at);
}

/* The common end: \p{N}{1,n}| ?[signs]+[line ends]*|\s*[\r\n]+|\s+(?!\S)|\s+, where signs are what is
 * neither space nor letter nor numeral. */
static size_t number_signs_spaces(const struct words *words, size_t at, unsigned signs, const char *line_ends)
{
    size_t end = run_of(words, at, NUMBERS, words->kind->digits);
    if (end > at)
        return end;
    end = spaced_run(words, at, signs);
    return end > at ? bytes_of(words, end, line_ends) : lines_or_spaces(words, at);
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[letters]+|..., where letters are \p{L}, or that and \p{M}.
 */
static size_t word_llama3(const struct words *words, size_t at)
{
    const struct pretokenizer *kind = words->kind;
    unsigned marks = kind->marks ? MARKS : 0;
    size_t end = contraction(words, at, true);
    if (end > at)
        return end;
    struct character first = look(words, at);
    if (!(first.set & (LETTERS | NUMBERS)) && !byte_is(words, at, "\r\n"))
        end = run(words, first.end, LETTERS | marks);
    if (end > first.end)
        return end;
    end = run(words, at, LETTERS | marks);
    return end > at ? end : number_signs_spaces(words, at, REST & ~marks, kind->bare_signs ? "" : "\r\n");
}

/* [capitals]*[smalls]+, letters without case being both: capitals give back what smalls need. `at`: none. */
static size_t ends_small(const struct words *words, size_t at)
{
    size_t end = at, after_caseless = at;
    for (struct character next = look(words, at); next.set & CAPITALS; next = look(words, end)) {
        end = next.end;
        if (next.set & CASELESS)
            after_caseless = end;
    }
    size_t small = run(words, end, SMALLS);
    return small > end ? small : after_caseless;
}

/* [capitals]+[smalls]*. `at`: none. */
static size_t begins_capital(const struct words *words, size_t at)
{
    size_t end = run(words, at, CAPITALS);
    return end > at ? run(words, end, SMALLS) : at;
}

/* X[capitals]*[smalls]+C|X[capitals]+[smalls]*C|... with X [^\r\n\p{L}\p{N}]? and C (?i:'s|'t|...)? */
static size_t word_cased(const struct words *words, size_t at)
{
    size_t (*const forms[])(const struct words *, size_t) = {ends_small, begins_capital};
    struct character first = look(words, at);
    bool lead = !(first.set & (LETTERS | NUMBERS)) && !byte_is(words, at, "\r\n");
    for (int i = 0; i < 4; i++) {
        size_t from = i % 2 == 0 ? first.end : at;
        if (i % 2 == 0 && !lead)
            continue;
        size_t end = forms[i / 2](words, from);
        if (end > from)
            return words->kind->contractions ? contraction(words, end, true) : end;
    }
    return number_signs_spaces(words, at, REST, "\r\n/");
}

/* " ?[^(\s|[.,!?…。，、।۔،])]+", whose parentheses and bar are in the set too. */
static size_t word_bloom(const struct words *words, size_t at)
{
    static const uint32_t apart[] = {'(',    ')',    '|',    '.',    ',',   '!',   '?',
                                     0x2026, 0x3002, 0xff0c, 0x3001, 0x964, 0x6d4, 0x60c};
    size_t from = byte_is(words, at, " ") ? at + 1 : at, end = from;
    for (struct character next = look(words, end); next.set & ~(unsigned)SPACES; next = look(words, end)) {
        for (size_t i = 0; i < sizeof apart / sizeof *apart; i++)
            if (next.point == apart[i])
                return end > from ? end : at;
        end = next.end;
    }
    return end > from ? end : at;
}

static bool is_ascii_letter(const struct words *words, size_t at)
{
    return at < words->part && ((words->text[at] >= 'A' && words->text[at] <= 'Z') ||
                                (words->text[at] >= 'a' && words->text[at] <= 'z'));
}

/* [ASCII signs][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|
 * ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+; `at`: none of them. */
static size_t word_deepseek(const struct words *words, size_t at)
{
    struct character first = look(words, at);
    size_t end = first.end;
    if (first.point < 128 && first.set & SIGNS && is_ascii_letter(words, end)) {
        while (is_ascii_letter(words, end))
            end++;
        return end;
    }
    size_t from = first.set & (LETTERS | SIGNS | MARKS) || byte_is(words, at, "\r\n") ? at : first.end;
    end = run(words, from, LETTERS | MARKS);
    if (end > from)
        return end;
    end = spaced_run(words, at, SIGNS);
    return end > at ? bytes_of(words, end, "\r\n") : lines_or_spaces(words, at);
}

/* ---- expressions one after the other ---- */

/* Each expression cuts what it matches out of the pieces that the ones before have left. A stage returns the
 * end of its match at `at`, or `at`; words->part is the end of the piece. */
typedef size_t stage(const struct words *words, size_t at);

/* [\r\n] */
static size_t stage_line_end(const struct words *words, size_t at)
{
    return byte_is(words, at, "\r\n") ? at + 1 : at;
}

/* Letters with case in the scripts that DeepSeek LLM's expression lists: Latin, Greek, Cyrillic and so on,
 * without the mathematical ones. */
static bool is_deepseek_letter(struct character character)
{
    static const uint32_t beyond_bmp[][2] = {{0x10400, 0x1044f}, {0x104b0, 0x104d3}, {0x104d8, 0x104fb},
                                             {0x10c80, 0x10cb2}, {0x10cc0, 0x10cf2}, {0x118a0, 0x118df},
                                             {0x1e900, 0x1e943}};
    bool known = character.point <= 0xffff;
    for (size_t i = 0; i < sizeof beyond_bmp / sizeof *beyond_bmp; i++)
        known |= character.point >= beyond_bmp[i][0] && character.point <= beyond_bmp[i][1];
    return known && character.set & (SET(CHAR_UPPER) | SET(CHAR_LOWER));
}

/* [!-/:-~！-／：-～‘-‟　-。]: letters of ASCII are among them, so that words are cut at other letters. */
static bool is_deepseek_sign(struct character character)
{
    static const uint32_t ranges[][2] = {{'!', '/'},       {':', '~'},       {0xff01, 0xff0f},
                                         {0xff1a, 0xff5e}, {0x2018, 0x201f}, {0x3000, 0x3002}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (character.point >= ranges[i][0] && character.point <= ranges[i][1])
            return true;
    return false;
}

static bool is_letter(struct character character)
{
    return character.set & LETTERS;
}

static bool is_punctuation(struct character character)
{
    return character.set & SET(CHAR_PUNCTUATION);
}

/* [一-龥ࠀ-一가-퟿] */
static bool is_deepseek_cjk(struct character character)
{
    return (character.point >= 0x0800 && character.point <= 0x9fa5) ||
           (character.point >= 0xac00 && character.point <= 0xd7ff);
}

static size_t run_where(const struct words *words, size_t at, bool (*is)(struct character))
{
    for (struct character next = look(words, at); next.set != 0 && is(next); next = look(words, at))
        at = next.end;
    return at;
}

/* \s?[characters]+ */
static size_t spaced_where(const struct words *words, size_t at, bool (*is)(struct character))
{
    struct character first = look(words, at);
    size_t end = run_where(words, at, is);
    if (end > at || !(first.set & SPACES))
        return end;
    end = run_where(words, first.end, is);
    return end > first.end ? end : at;
}

static size_t stage_deepseek_letters(const struct words *words, size_t at)
{
    return spaced_where(words, at, is_deepseek_letter);
}

static size_t stage_deepseek_signs(const struct words *words, size_t at)
{
    return spaced_where(words, at, is_deepseek_sign);
}

static size_t stage_letters(const struct words *words, size_t at)
{
    return spaced_where(words, at, is_letter);
}

static size_t stage_punctuation(const struct words *words, size_t at)
{
    return spaced_where(words, at, is_punctuation);
}

/* \s+$; where spaces do not reach the end their run is passed over as a whole by find_stage. */
static size_t stage_last_spaces(const struct words *words, size_t at)
{
    size_t end = run(words, at, SPACES);
    return end == words->part ? end : at;
}

static size_t stage_cjk(const struct words *words, size_t at)
{
    return run_where(words, at, is_deepseek_cjk);
}

static size_t stage_numbers(const struct words *words, size_t at)
{
    return run_of(words, at, NUMBERS, words->kind->digits);
}

/* The end of the piece that begins at `at`: of a match, or of what lies before the next one. */
static size_t find_stage(const struct words *words, stage *matches, size_t at)
{
    size_t end = matches(words, at);
    while (end == at && at < words->part) {
        struct character next = look(words, at);
        at = matches == stage_last_spaces && next.set & SPACES ? run(words, at, SPACES) : next.end;
        end = at < words->part ? matches(words, at) : at;
        if (end > at)
            return at;
        end = at;
    }
    return end;
}

static bool next_stage_word(struct words *words)
{
    static stage *const llm[WORD_STAGES_MOST] = {
        stage_line_end, stage_deepseek_letters, stage_deepseek_signs, stage_last_spaces,
        stage_cjk,      stage_numbers};
    static stage *const coder[WORD_STAGES_MOST] = {stage_line_end, stage_letters, stage_punctuation,
                                                   stage_cjk, stage_numbers};
    stage *const *stages = words->kind->digits == 1 ? coder : llm;
    size_t outer = words->length;
    for (int i = 0; i < WORD_STAGES_MOST && stages[i] != NULL; i++) {
        words->part = outer;
        if (words->stage_ends[i] <= words->at)
            words->stage_ends[i] = find_stage(words, stages[i], words->at);
        outer = words->stage_ends[i];
    }
    words->at = outer;
    return true;
}

static size_t word(const struct words *words, size_t at)
{
    switch (words->kind->family) {
    case WORDS_GPT2:
        return word_gpt2(words, at);
    case WORDS_LLAMA3:
        return word_llama3(words, at);
    case WORDS_CASED:
        return word_cased(words, at);
    case WORDS_BLOOM:
        return word_bloom(words, at);
    case WORDS_DEEPSEEK:
    case WORDS_STAGES:
        break;
    }
    return word_deepseek(words, at);
}

/* ---- parts ---- */

/* DeepSeek's [一-龥぀-ゟ゠-ヿ]: common ideographs, Hiragana, Katakana. */
static bool is_cjk(const struct words *words, struct character character)
{
    return words->kind->family == WORDS_DEEPSEEK &&
           ((character.point >= 0x4e00 && character.point <= 0x9fa5) ||
            (character.point >= 0x3040 && character.point <= 0x30ff));
}

/* Where numerals (or ideographs) that stand alone begin: words do not look beyond. */
static size_t part_end(const struct words *words, size_t at)
{
    struct words whole = *words;
    whole.part = words->length;
    for (struct character next = look(&whole, at);
         next.set != 0 && !(next.set & NUMBERS) && !is_cjk(words, next); next = look(&whole, at))
        at = next.end;
    return at;
}

static size_t lone_run(const struct words *words, size_t at)
{
    struct words whole = *words;
    whole.part = words->length;
    size_t end = run_of(&whole, at, NUMBERS, words->kind->digits);
    if (end == at)
        for (struct character next = look(&whole, at); next.set != 0 && is_cjk(words, next);
             next = look(&whole, end))
            end = next.end;
    return end;
}

bool words_next(struct words *words, size_t *from)
{
    *from = words->at;
    if (words->at >= words->length)
        return false;
    if (words->kind->family == WORDS_STAGES)
        return next_stage_word(words);
    if (!words->kind->lone_digits)
        words->part = words->length;
    if (words->at >= words->part) {
        words->at = lone_run(words, *from);
        if (words->at > *from) {
            words->part = words->at;
            return true;
        }
        words->part = part_end(words, *from);
    }
    /* What no alternative takes stays together up to where one does. */
    size_t end = word(words, words->at);
    if (end > words->at) {
        words->at = end;
        return true;
    }
    do
        words->at = look(words, words->at).end;
    while (words->at < words->part && word(words, words->at) == words->at);
    return true;
}
