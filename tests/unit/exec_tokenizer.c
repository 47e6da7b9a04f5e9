/* Tokenizers over vocabularies made here, small enough for the answer to be found by hand. */
#include "exec/tokenizer.h"

#include <criterion/criterion.h>
#include <string.h>
#include <time.h>

static struct arena *arena;
static struct diag diag;

/* ---- metadata in the making ---- */

enum { NORMAL = 1, UNKNOWN, CONTROL, USER, UNUSED, BYTE };

static struct {
    struct text pairs, tokens, types, scores, merges;
    uint32_t pair_count, token_count, merge_count;
} file;

static void set_up(void)
{
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
    memset(&file, 0, sizeof file);
}

static void tear_down(void)
{
    text_free(&file.pairs);
    text_free(&file.tokens);
    text_free(&file.types);
    text_free(&file.scores);
    text_free(&file.merges);
    arena_free(arena);
}

TestSuite(exec_tokenizer, .init = set_up, .fini = tear_down);

static void number(struct text *out, uint64_t value, int width)
{
    for (int i = 0; i < width; i++)
        text_addn(out, &(char){(char)(value >> (8 * i))}, 1);
}

static void string(struct text *out, const char *value)
{
    number(out, strlen(value), 8);
    text_add(out, value);
}

static void pair(const char *key, enum gguf_type type)
{
    string(&file.pairs, key);
    number(&file.pairs, type, 4);
    file.pair_count++;
}

static void pair_string(const char *key, const char *value)
{
    pair(key, GGUF_STRING);
    string(&file.pairs, value);
}

static void pair_u32(const char *key, uint32_t value)
{
    pair(key, GGUF_U32);
    number(&file.pairs, value, 4);
}

static void pair_bool(const char *key, bool value)
{
    pair(key, GGUF_BOOL);
    number(&file.pairs, value, 1);
}

static void pair_array(const char *key, enum gguf_type of, uint32_t count, const struct text *elements)
{
    pair(key, GGUF_ARRAY);
    number(&file.pairs, of, 4);
    number(&file.pairs, count, 8);
    text_addn(&file.pairs, elements->data, elements->length);
}

static uint32_t token(const char *text, int type, float score)
{
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    string(&file.tokens, text);
    number(&file.types, (uint64_t)type, 4);
    number(&file.scores, bits, 4);
    return file.token_count++;
}

/* A merge, and the token that it makes. */
static void merge(const char *left, const char *right)
{
    token(arena_printf(arena, "%s%s", left, right), NORMAL, 0);
    string(&file.merges, arena_printf(arena, "%s %s", left, right));
    file.merge_count++;
}

/* Byte-level tokens: token i is byte i. A space is Ġ, C3 is Ã, A9 is ©. */
static void bytes_visible(void)
{
    int next = 0x100;
    for (int byte = 0; byte < 256; byte++) {
        bool visible = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
        int point = visible ? byte : next++;
        char text[3] = {(char)point, 0, 0};
        if (point >= 0x80) {
            text[0] = (char)(0xc0 | point >> 6);
            text[1] = (char)(0x80 | (point & 0x3f));
        }
        /* NUL is U+0100, so that no text is empty */
        token(text, NORMAL, 0);
    }
}

static void bytes_fallback(void)
{
    for (int byte = 0; byte < 256; byte++)
        token(arena_printf(arena, "<0x%02X>", (unsigned)byte), BYTE, 0);
}

static struct tokenizer *make(void)
{
    struct text out = {0};
    struct gguf_header header;
    pair_array("tokenizer.ggml.tokens", GGUF_STRING, file.token_count, &file.tokens);
    text_add(&out, "GGUF");
    number(&out, 3, 4);
    number(&out, 0, 8);
    number(&out, file.pair_count, 8);
    text_addn(&out, file.pairs.data, file.pairs.length);
    cr_assert(gguf_header_parse(&header, arena, &diag, "a.gguf", out.data, out.length), "%s",
              diag_first_error(&diag));
    struct tokenizer *tokenizer = tokenizer_new(arena, &diag, &header);
    memset(out.data, 0xff, out.length); /* the header's bytes may go */
    text_free(&out);
    return tokenizer;
}

static void pairs_bpe(const char *pre)
{
    pair_string("tokenizer.ggml.model", "gpt2");
    if (pre != NULL)
        pair_string("tokenizer.ggml.pre", pre);
    pair_array("tokenizer.ggml.merges", GGUF_STRING, file.merge_count, &file.merges);
    pair_array("tokenizer.ggml.token_type", GGUF_I32, file.token_count, &file.types);
}

static struct tokenizer *bpe(const char *pre)
{
    pairs_bpe(pre);
    pair_bool("tokenizer.ggml.add_bos_token", false);
    struct tokenizer *tokenizer = make();
    cr_assert_not_null(tokenizer, "%s", diag_first_error(&diag));
    return tokenizer;
}

static void pairs_spm(void)
{
    pair_string("tokenizer.ggml.model", "llama");
    pair_array("tokenizer.ggml.scores", GGUF_F32, file.token_count, &file.scores);
    pair_array("tokenizer.ggml.token_type", GGUF_I32, file.token_count, &file.types);
}

static void spm_specials(void)
{
    token("<unk>", UNKNOWN, 0);
    token("<s>", CONTROL, 0);
    token("</s>", CONTROL, 0);
}

static struct tokenizer *spm(void)
{
    pairs_spm();
    struct tokenizer *tokenizer = make();
    cr_assert_not_null(tokenizer, "%s", diag_first_error(&diag));
    return tokenizer;
}

/* ---- what comes out ---- */

/* The tokens' bytes with | between them. */
static const char *pieces(const struct tokenizer *tokenizer, const char *text)
{
    int *tokens = NULL;
    size_t count = 0;
    struct text out = {0};
    cr_assert(tokenizer_encode(tokenizer, arena, &diag, text, strlen(text), READ_LITERALLY, &tokens, &count),
              "%s", diag_first_error(&diag));
    text_add(&out, "");
    for (size_t i = 0; i < count; i++) {
        text_add(&out, i > 0 ? "|" : "");
        tokenizer_decode(tokenizer, tokens[i], &out);
    }
    const char *joined = arena_strndup(arena, out.data, out.length);
    text_free(&out);
    return joined;
}

static const char *ids_read(const struct tokenizer *tokenizer, const char *text, enum text_reading reading)
{
    int *tokens = NULL;
    size_t count = 0;
    const char *out = "";
    cr_assert(tokenizer_encode(tokenizer, arena, &diag, text, strlen(text), reading, &tokens, &count), "%s",
              diag_first_error(&diag));
    for (size_t i = 0; i < count; i++)
        out = arena_printf(arena, "%s%s%d", out, i > 0 ? " " : "", tokens[i]);
    return out;
}

static const char *ids(const struct tokenizer *tokenizer, const char *text)
{
    return ids_read(tokenizer, text, READ_LITERALLY);
}

static void expect_pieces(const struct tokenizer *tokenizer, const char *text, const char *expected)
{
    cr_expect_str_eq(pieces(tokenizer, text), expected, "\"%s\": found \"%s\", expected \"%s\"", text,
                     pieces(tokenizer, text), expected);
}

/* ---- byte-level BPE ---- */

Test(exec_tokenizer, merges_go_by_rank)
{
    bytes_visible();
    merge("b", "c");
    merge("a", "b");
    merge("d", "d");
    merge("dd", "dd");
    struct tokenizer *tokenizer = bpe("gpt-2");
    expect_pieces(tokenizer, "abc", "a|bc");
    expect_pieces(tokenizer, "aab", "a|ab");
    expect_pieces(tokenizer, "ddd", "dd|d"); /* the leftmost of equals */
    expect_pieces(tokenizer, "dddd", "dddd");
    expect_pieces(tokenizer, "ddddddd", "dddd|dd|d");
    expect_pieces(tokenizer, "", "");
    cr_expect_eq(tokenizer_size(tokenizer), 256 + 4);
    cr_expect_eq(tokenizer_end(tokenizer), -1);
}

Test(exec_tokenizer, the_first_of_equal_merges_counts)
{
    bytes_visible();
    merge("a", "b");
    merge("b", "c");
    string(&file.merges, "b c");
    string(&file.merges, "a b");
    file.merge_count += 2;
    expect_pieces(bpe("gpt-2"), "abc", "ab|c");
}

Test(exec_tokenizer, merges_stay_within_words)
{
    bytes_visible();
    merge("a", "Ġ");
    merge("Ġ", "b");
    merge("Ġ", "Ġ");
    struct tokenizer *tokenizer = bpe("gpt-2");
    expect_pieces(tokenizer, "a b", "a| b");
    expect_pieces(tokenizer, "a   b", "a|  | b"); /* the last space goes with the word */
    expect_pieces(tokenizer, "a   ", "a|  | ");
}

Test(exec_tokenizer, characters_of_several_bytes)
{
    bytes_visible();
    merge("Ã", "©");
    merge("t", "Ã©");
    struct tokenizer *tokenizer = bpe("gpt-2");
    expect_pieces(tokenizer, "\xc3\xa9t\xc3\xa9", "\xc3\xa9|t\xc3\xa9");
    expect_pieces(tokenizer, "\xc3\xa8", "\xc3|\xa8");
    expect_pieces(tokenizer, "\xff", "\xff"); /* no UTF-8, and still bytes */
}

static void digits(const char *pre, const char *expected)
{
    bytes_visible();
    merge("1", "2");
    merge("3", "4");
    merge("12", "34");
    merge("Ġ", "12");
    expect_pieces(bpe(pre), "1234 12", expected);
}

Test(exec_tokenizer, numerals_of_gpt_2_stay_together)
{
    digits("gpt-2", "1234| 12");
}

Test(exec_tokenizer, numerals_of_llama_3_come_in_threes)
{
    digits("llama-bpe", "12|3|4| |12");
}

Test(exec_tokenizer, numerals_of_qwen2_stand_alone)
{
    digits("qwen2", "1|2|3|4| |1|2");
}

Test(exec_tokenizer, numerals_of_starcoder_are_cut_out_first)
{
    digits("starcoder", "1|2|3|4| |1|2");
}

static void contractions(const char *pre, const char *lower, const char *upper)
{
    bytes_visible();
    merge("'", "s");
    merge("'", "S");
    merge("s", "o");
    merge("S", "O");
    merge("'", "d");
    struct tokenizer *tokenizer = bpe(pre);
    expect_pieces(tokenizer, "i'so", lower);
    expect_pieces(tokenizer, "I'SO", upper);
}

Test(exec_tokenizer, contractions_of_gpt_2_are_small)
{
    contractions("gpt-2", "i|'s|o", "I|'|SO");
}

Test(exec_tokenizer, contractions_of_llama_3_are_of_any_case)
{
    contractions("llama3", "i|'s|o", "I|'S|O");
}

/* (?i:'s) takes the long s, which is s in another case, as Hugging Face's and OpenAI's engines have it. */
Test(exec_tokenizer, contractions_with_a_long_s)
{
    bytes_visible();
    merge("Å", "¿");
    merge("'", "Å¿");
    merge("'Å¿", "o");
    expect_pieces(bpe("llama3"), "I'ſo", "I|'ſ|o");
}

Test(exec_tokenizer, contractions_of_small_letters_have_no_long_s)
{
    bytes_visible();
    merge("Å", "¿");
    merge("Å¿", "o");
    expect_pieces(bpe("gpt-2"), "I'ſo", "I|'|ſo");
}

/* GPT-4o: a contraction belongs to the word before it, so that merges reach over the apostrophe. */
Test(exec_tokenizer, contractions_of_gpt_4o_end_words)
{
    bytes_visible();
    merge("i", "'");
    merge("'", "s");
    merge("i'", "s");
    expect_pieces(bpe("gpt-4o"), "i'so", "i's|o");
}

Test(exec_tokenizer, gpt_4o_cuts_words_where_capitals_begin)
{
    bytes_visible();
    merge("e", "L");
    merge("a", "n");
    merge("A", "P");
    expect_pieces(bpe("gpt-4o"), "CamelAPand", "C|a|m|e|l|AP|an|d");
}

Test(exec_tokenizer, a_sign_goes_with_the_word_behind_it_in_llama_3)
{
    bytes_visible();
    merge("(", "a");
    merge(";", "Ċ");
    merge("Ċ", "Ċ");
    struct tokenizer *tokenizer = bpe("llama-bpe");
    expect_pieces(tokenizer, "(a", "(a");
    expect_pieces(tokenizer, "x;\n", "x|;\n");
    expect_pieces(tokenizer, "x\n\ny", "x|\n\n|y");
}

Test(exec_tokenizer, a_sign_stands_alone_in_gpt_2)
{
    bytes_visible();
    merge("(", "a");
    merge(";", "Ċ");
    struct tokenizer *tokenizer = bpe("gpt-2");
    expect_pieces(tokenizer, "(a", "(|a");
    expect_pieces(tokenizer, "x;\n", "x|;|\n");
}

/* 中 is a letter without case to Llama 3, and cut out of its neighbours by DeepSeek. */
static void ideographs(const char *pre, const char *expected)
{
    bytes_visible();
    merge("ä", "¸");
    merge("ä¸", "Ń"); /* AD shows as U+0143 */
    merge("a", "ä¸Ń");
    expect_pieces(bpe(pre), "a\xe4\xb8\xad", expected);
}

Test(exec_tokenizer, ideographs_of_llama_3)
{
    ideographs("llama-bpe", "a\xe4\xb8\xad");
}

Test(exec_tokenizer, ideographs_of_deepseek)
{
    ideographs("deepseek-v3", "a|\xe4\xb8\xad");
}

/* The expressions of deepseek-llm and deepseek-coder, one after the other (llm_tokenizer_bpe in
 * src/llama-vocab.cpp of https://github.com/ggml-org/llama.cpp, as the models' tokenizer.json): line ends one
 * by one, letters with a space before them, signs (which in LLM's expression include ASCII letters, so that a
 * word ends before another letter), last spaces, ideographs, numerals. */
static void make_deepseek(void)
{
    bytes_visible();
    merge("Ġ", "a");
    merge("Ġa", "b");
    merge("Ġ", "Ġ");
    merge("b", ".");
    merge(".", ".");
    merge("1", "2");
    merge("Ġ", "1");
    merge("Ċ", "Ċ");
    merge("Ã", "©");
    merge("b", "Ã©");
}

Test(exec_tokenizer, words_of_deepseek_llm)
{
    make_deepseek();
    struct tokenizer *tokenizer = bpe("deepseek-llm");
    expect_pieces(tokenizer, "x ab..", "x| ab|..");
    expect_pieces(tokenizer, "x   ab", "x|  | ab"); /* the last space goes with the word */
    expect_pieces(tokenizer, "ab 12", "a|b| |12");
    expect_pieces(tokenizer, "ab  12  ", "a|b|  |12|  ");
    expect_pieces(tokenizer, "x\n\n ab", "x|\n|\n| ab");
    expect_pieces(tokenizer, "b\xc3\xa9 ab", "b|\xc3\xa9| ab"); /* ASCII letters end before é */
}

Test(exec_tokenizer, words_of_deepseek_coder)
{
    make_deepseek();
    struct tokenizer *tokenizer = bpe("deepseek-coder");
    expect_pieces(tokenizer, "b\xc3\xa9 ab..12", "b\xc3\xa9| ab|..|1|2");
    expect_pieces(tokenizer, "x\n\n  ab", "x|\n|\n| | ab");
}

Test(exec_tokenizer, words_that_are_tokens_need_no_merges_in_llama_3)
{
    bytes_visible();
    token("whole", NORMAL, 0);
    expect_pieces(bpe("llama-bpe"), "whole", "whole");
}

Test(exec_tokenizer, words_that_are_tokens_need_merges_in_qwen2)
{
    bytes_visible();
    token("whole", NORMAL, 0);
    expect_pieces(bpe("qwen2"), "whole", "w|h|o|l|e");
}

Test(exec_tokenizer, special_tokens_in_text)
{
    bytes_visible();
    merge("e", ">");
    uint32_t end = token("<end>", CONTROL, 0);
    token("<code>", USER, 0);
    token("<code>x", USER, 0);
    pair_u32("tokenizer.ggml.eos_token_id", end);
    struct tokenizer *tokenizer = bpe("gpt-2");
    expect_pieces(tokenizer, "<end>", "<|e|n|d|>"); /* text, not the end */
    expect_pieces(tokenizer, "a<code>b", "a|<code>|b");
    expect_pieces(tokenizer, "a<code>xy<code", "a|<code>x|y|<|c|o|d|e"); /* the longest */
    cr_expect_eq(tokenizer_end(tokenizer), (int)end);
    struct text none = {0};
    tokenizer_decode(tokenizer, (int)end, &none);
    tokenizer_decode(tokenizer, -1, &none);
    tokenizer_decode(tokenizer, tokenizer_size(tokenizer), &none);
    cr_expect_eq(none.length, 0);
    text_free(&none);
}

Test(exec_tokenizer, first_and_last_tokens)
{
    bytes_visible();
    pair_u32("tokenizer.ggml.bos_token_id", token("<a>", CONTROL, 0));
    pair_u32("tokenizer.ggml.eos_token_id", token("<z>", CONTROL, 0));
    pair_bool("tokenizer.ggml.add_bos_token", true);
    pair_bool("tokenizer.ggml.add_eos_token", true);
    pairs_bpe("qwen2");
    struct tokenizer *tokenizer = make();
    cr_assert_not_null(tokenizer, "%s", diag_first_error(&diag));
    cr_expect_str_eq(ids(tokenizer, "A"), "256 65 257");
    cr_expect_str_eq(ids(tokenizer, ""), "256 257");
}

Test(exec_tokenizer, llama_3_begins_with_its_first_token)
{
    bytes_visible();
    pair_u32("tokenizer.ggml.bos_token_id", token("<a>", CONTROL, 0));
    pairs_bpe("llama-bpe");
    struct tokenizer *tokenizer = make();
    cr_assert_not_null(tokenizer, "%s", diag_first_error(&diag));
    cr_expect_str_eq(ids(tokenizer, "A"), "256 65");
}

Test(exec_tokenizer, a_pre_tokenizer_that_is_missing)
{
    bytes_visible();
    bpe(NULL);
    cr_assert_eq(diag.warnings, 1);
    cr_expect_str_eq(diag.first->text, "tokenizer.ggml.pre: missing, words are split as GPT-2 does");
}

Test(exec_tokenizer, a_pre_tokenizer_by_default)
{
    bytes_visible();
    merge("Ġ", "a");
    expect_pieces(bpe("default"), "a a", "a| a");
    cr_assert_eq(diag.warnings, 1);
    cr_expect_str_eq(diag.first->text, "tokenizer.ggml.pre: \"default\", words are split as GPT-2 does");
}

Test(exec_tokenizer, a_byte_that_is_missing)
{
    int *tokens;
    size_t count;
    token("a", NORMAL, 0);
    struct tokenizer *tokenizer = bpe("gpt-2");
    cr_expect_not(tokenizer_encode(tokenizer, arena, &diag, "aab", 3, READ_LITERALLY, &tokens, &count));
    cr_expect_str_eq(diag_first_error(&diag), "error: the text's byte 2 is 0x62, which no token stands for");
}

static void marks(const char *pre, const char *expected)
{
    bytes_visible();
    merge("Ì", "ģ");
    merge("a", "Ìģ");
    merge("Ìģ", "a");
    merge("!", "Ìģ");
    merge(".", "Ċ");
    expect_pieces(bpe(pre), "a\u0301a!\u0301.\n", expected);
}

Test(exec_tokenizer, marks_are_signs_to_qwen2)
{
    marks("qwen2", "a|\u0301a|!\u0301|.\n");
}

Test(exec_tokenizer, marks_are_letters_to_qwen35)
{
    marks("qwen35", "a\u0301|a|!\u0301|.\n");
}

Test(exec_tokenizer, marks_alone_are_letters_to_qwen35)
{
    bytes_visible();
    merge("Ì", "ģ");
    merge("1", "Ìģ");
    merge("Ìģ", "!");
    expect_pieces(bpe("qwen35"), "1\u0301!", "1|\u0301|!");
}

Test(exec_tokenizer, line_ends_are_apart_from_signs_to_seed_coder)
{
    marks("seed-coder", "a|\u0301a|!\u0301|.|\n");
}

Test(exec_tokenizer, words_of_bloom)
{
    bytes_visible();
    merge("a", "1");
    merge("a1", "$");
    merge("Ġ", "b");
    merge(",", "Ġ");
    merge("Ġ", "Ġ");
    merge(",", "(");
    merge("]", "Ċ");
    struct tokenizer *tokenizer = bpe("bloom");
    expect_pieces(tokenizer, "a1$ b, c", "a1$| b|,| |c");
    expect_pieces(tokenizer, "a  b,(]\n", "a| | b|,(|]|\n");
    expect_pieces(tokenizer, ",  ", ", | "); /* what no word takes stays together */
}

/* Command R's vocabulary has some characters as they are in front of the tokens that merges make. */
Test(exec_tokenizer, tokens_of_characters_that_are_no_bytes)
{
    token("中", NORMAL, 0);
    token("a中", NORMAL, 0);
    bytes_visible();
    merge("ä", "¸");
    merge("ä¸", "Ń");
    string(&file.merges, "a 中");
    file.merge_count++;
    struct tokenizer *tokenizer = bpe("llama-bpe");
    cr_expect_str_eq(ids(tokenizer, "中"), "259");
    cr_expect_str_eq(ids(tokenizer, "a中"), "99 259");
    struct text out = {0};
    tokenizer_decode(tokenizer, 1, &out);
    cr_expect_str_eq(out.data, "a中");
    text_free(&out);
}

Test(exec_tokenizer, control_tokens_are_read_when_asked_for)
{
    bytes_visible();
    token("<|a|>", CONTROL, 0);
    token("<|a|>b", CONTROL, 0);
    token("|>b<", USER, 0);
    token("<unk>", UNKNOWN, 0);
    token("[gone]", UNUSED, 0);
    struct tokenizer *tokenizer = bpe("gpt-2");
    cr_expect_str_eq(ids(tokenizer, "<|a|>b<"), "60 124 97 258"); /* the user-defined one alone */
    cr_expect_str_eq(ids_read(tokenizer, "<|a|>b<", READ_CONTROL_TOKENS), "257 60");
    cr_expect_str_eq(ids_read(tokenizer, "x<|a|><|a|", READ_CONTROL_TOKENS), "120 256 60 124 97 124");
    cr_expect_str_eq(ids_read(tokenizer, "|>b<unk>", READ_CONTROL_TOKENS), "258 117 110 107 62");
    cr_expect_str_eq(ids_read(tokenizer, "<unk>[", READ_CONTROL_TOKENS), "259 91");
    cr_expect_str_eq(ids_read(tokenizer, "[gone]", READ_CONTROL_TOKENS), "91 103 111 110 101 93");
    cr_expect_str_eq(ids_read(tokenizer, "", READ_CONTROL_TOKENS), "");
}

/* ---- SentencePiece ---- */

static void spm_letters(void)
{
    spm_specials();
    bytes_fallback();
    for (const char *letter = "\0abcdelow" + 1; *letter != '\0'; letter++)
        token((char[]){*letter, 0}, NORMAL, -100);
    token("▁", NORMAL, -100);
}

Test(exec_tokenizer, pieces_merge_by_score)
{
    spm_letters();
    token("lo", NORMAL, -3);
    token("ow", NORMAL, -2);
    token("▁l", NORMAL, -4);
    token("low", NORMAL, -5);
    token("▁low", NORMAL, -6);
    struct tokenizer *tokenizer = spm();
    /* ow first, then ▁l; ▁low is made of ▁l and ow */
    expect_pieces(tokenizer, "low", "| low");
    expect_pieces(tokenizer, "lo", "| |lo");
    expect_pieces(tokenizer, "ol", "| |o|l");
}

Test(exec_tokenizer, leftmost_of_equal_scores)
{
    spm_letters();
    token("ab", NORMAL, -1);
    token("ba", NORMAL, -1);
    expect_pieces(spm(), "aba", "| |ab|a");
}

Test(exec_tokenizer, bytes_for_characters_without_a_token)
{
    spm_letters();
    struct tokenizer *tokenizer = spm();
    /* byte b is token 3 + b; ▁ is the last of 9 pieces behind them */
    cr_expect_str_eq(ids(tokenizer, "a\xc3\xa9"), "1 267 259 198 172");
    cr_expect_str_eq(ids(tokenizer, "\xff"), "1 267 258");
    cr_expect_str_eq(ids(tokenizer, ""), "1");
}

Test(exec_tokenizer, unknown_characters_without_bytes)
{
    spm_specials();
    token("a", NORMAL, -1);
    token("▁", NORMAL, -1);
    struct tokenizer *tokenizer = spm();
    cr_expect_str_eq(ids(tokenizer, "a\xc3\xa9zzaz"), "1 4 3 0 3 0");
}

Test(exec_tokenizer, no_space_in_front)
{
    spm_letters();
    token("▁a", NORMAL, -1);
    token("▁▁", NORMAL, -2);
    pair_bool("tokenizer.ggml.add_space_prefix", false);
    pair_bool("tokenizer.ggml.add_bos_token", false);
    struct tokenizer *tokenizer = spm();
    expect_pieces(tokenizer, "a a", "a| a");
    expect_pieces(tokenizer, "a   b", "a|  | |b"); /* the leftmost spaces first */
    expect_pieces(tokenizer, "a   a", "a|  | a");
}

Test(exec_tokenizer, tokens_with_spaces_inside)
{
    spm_letters();
    token("a▁", NORMAL, -2);
    token("▁b", NORMAL, -3);
    token("a▁b", NORMAL, -4);
    expect_pieces(spm(), "a b", "| |a b");
}

Test(exec_tokenizer, unused_tokens_fall_apart)
{
    spm_letters();
    token("ab", NORMAL, -1);
    token("abc", UNUSED, -2);
    token("abcd", NORMAL, -3);
    struct tokenizer *tokenizer = spm();
    expect_pieces(tokenizer, "abcd", "| |abcd"); /* made through it */
    expect_pieces(tokenizer, "abc", "| |ab|c");
}

Test(exec_tokenizer, user_defined_pieces_do_not_merge)
{
    spm_letters();
    token("<b c>", USER, 0);
    token("a<", NORMAL, -1);
    token("<s>x", NORMAL, -1);
    struct tokenizer *tokenizer = spm();
    expect_pieces(tokenizer, "a<b c>d", "| |a|<b c>| |d");
    expect_pieces(tokenizer, "<s>", "| |<|s|>"); /* by bytes: control tokens are not read from text */
    cr_expect_eq(tokenizer_end(tokenizer), 2);
}

Test(exec_tokenizer, control_tokens_among_pieces)
{
    spm_letters();
    uint32_t space = file.token_count - 1;
    uint32_t word = token("▁a", NORMAL, -2), end = token("<end of it>", CONTROL, 0);
    struct tokenizer *tokenizer = spm();
    cr_expect_str_eq(ids_read(tokenizer, "a</s>a<end of it> a", READ_CONTROL_TOKENS),
                     arena_printf(arena, "1 %u 2 %u %u %u %u", word, word, end, space, word));
    cr_expect_eq(diag.warnings, 0);
    cr_expect_str_eq(ids_read(tokenizer, "<s>a", READ_CONTROL_TOKENS), arena_printf(arena, "1 1 %u", word));
    cr_expect_eq(diag.warnings, 1);
    cr_expect_str_eq(diag.first->text, "the text begins with the beginning token, which the tokenizer adds "
                                       "too: there are two");
}

/* ---- round trips ---- */

static uint64_t random_state = 20240607;
static uint32_t random_below(uint32_t most)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % most;
}

static size_t random_text(char *text, size_t most)
{
    static const char *const parts[] = {
        "a",        "b",        "the",          " ",   "  ",   "\n",  "\r\n", "'s",
        "'LL",      "12345",    "\xc3\xa9",     "É",   "中文", "カ",  "\t",   "€",
        "\xff\xc3", "\xc2\xa0", "\xf0\x9f\x98", "<u>", "<u",   "...", "\x01", "ǅ"};
    size_t length = 0, words = random_below(12);
    for (size_t i = 0; i < words; i++) {
        const char *part = parts[random_below(sizeof parts / sizeof *parts)];
        if (length + strlen(part) > most)
            break;
        memcpy(text + length, part, strlen(part));
        length += strlen(part);
    }
    return length;
}

static void round_trips(const struct tokenizer *tokenizer, const char *front)
{
    char text[200];
    for (int i = 0; i < 2000; i++) {
        size_t length = random_text(text, sizeof text), count = 0;
        int *tokens = NULL;
        struct text back = {0};
        cr_assert(tokenizer_encode(tokenizer, arena, &diag, text, length, READ_LITERALLY, &tokens, &count));
        text_add(&back, "");
        for (size_t t = 0; t < count; t++)
            tokenizer_decode(tokenizer, tokens[t], &back);
        size_t skip = length > 0 ? strlen(front) : 0;
        cr_assert(back.length == length + skip && memcmp(back.data, front, skip) == 0 &&
                      memcmp(back.data + skip, text, length) == 0,
                  "round %d: found \"%s\" for \"%.*s\"", i, back.data, (int)length, text);
        text_free(&back);
    }
}

static void bpe_round_trips(const char *pre)
{
    bytes_visible();
    merge("t", "h");
    merge("th", "e");
    merge("Ġ", "the");
    merge("Ġ", "Ġ");
    merge("Ã", "©");
    merge("1", "2");
    merge("Ã", "ī");
    merge("ÿ", "Ã");
    token("<u>", USER, 0);
    round_trips(bpe(pre), "");
}

Test(exec_tokenizer, round_trips_of_gpt_2)
{
    bpe_round_trips("gpt-2");
}

Test(exec_tokenizer, round_trips_of_smollm)
{
    bpe_round_trips("smollm");
}

Test(exec_tokenizer, round_trips_of_llama_3)
{
    bpe_round_trips("llama-bpe");
}

Test(exec_tokenizer, round_trips_of_tekken)
{
    bpe_round_trips("tekken");
}

Test(exec_tokenizer, round_trips_of_deepseek)
{
    bpe_round_trips("deepseek-v3");
}

Test(exec_tokenizer, round_trips_of_deepseek_llm)
{
    bpe_round_trips("deepseek-llm");
}

Test(exec_tokenizer, round_trips_of_sentencepiece)
{
    spm_letters();
    token("th", NORMAL, -1);
    token("t", NORMAL, -9);
    token("h", NORMAL, -9);
    token("the", NORMAL, -2);
    token("▁the", NORMAL, -3);
    token("▁▁", NORMAL, -4);
    token("中文", NORMAL, -5);
    round_trips(spm(), " ");
}

Test(exec_tokenizer, round_trips_of_sentencepiece_without_a_space_in_front)
{
    spm_letters();
    token("the", NORMAL, -2);
    token("▁the", NORMAL, -3);
    token("<u>", USER, 0);
    pair_bool("tokenizer.ggml.add_space_prefix", false);
    round_trips(spm(), "");
}

/* ---- the plain algorithm ---- */

/* Random merges of letters, in order; what they make is a token. */
enum { RULES = 60, LETTERS = 4 };
static struct {
    const char *left, *right, *whole;
} rules[RULES];
static const char *const letters[LETTERS] = {"a", "b", "c", "d"};

static const char *random_piece(int rules_made)
{
    uint32_t pick = random_below(LETTERS + (uint32_t)rules_made);
    return pick < LETTERS ? letters[pick] : rules[pick - LETTERS].whole;
}

static void make_rules(void)
{
    for (int made = 0; made < RULES;) {
        const char *left = random_piece(made), *right = random_piece(made);
        const char *whole = arena_printf(arena, "%s%s", left, right);
        bool there = strlen(whole) > 9;
        for (int i = 0; i < made && !there; i++)
            there = strcmp(rules[i].whole, whole) == 0;
        if (there)
            continue;
        rules[made].left = left;
        rules[made].right = right;
        rules[made++].whole = whole;
    }
}

/* The rule for neighbours; by_text: whatever parts the whole is made of. RULES: none. */
static int rule_for(const char *left, const char *right, bool by_text)
{
    const char *whole = arena_printf(arena, "%s%s", left, right);
    for (int i = 0; i < RULES; i++)
        if (by_text ? strcmp(rules[i].whole, whole) == 0
                    : strcmp(rules[i].left, left) == 0 && strcmp(rules[i].right, right) == 0)
            return i;
    return RULES;
}

/* Looks at all neighbours again after each merge. Pieces with | between them. */
static const char *merged_plainly(const char *text, bool by_text)
{
    const char *parts[64], *out = "";
    size_t count = strlen(text);
    cr_assert_leq(count, 64);
    for (size_t i = 0; i < count; i++)
        parts[i] = arena_strndup(arena, text + i, 1);
    for (;;) {
        int best = RULES;
        size_t at = 0;
        for (size_t i = 0; i + 1 < count; i++) {
            int rule = rule_for(parts[i], parts[i + 1], by_text);
            if (rule < best) {
                best = rule;
                at = i;
            }
        }
        if (best == RULES)
            break;
        parts[at] = rules[best].whole;
        memmove(parts + at + 1, parts + at + 2, (count - at - 2) * sizeof *parts);
        count--;
    }
    for (size_t i = 0; i < count; i++)
        out = arena_printf(arena, "%s%s%s", out, i > 0 ? "|" : "", parts[i]);
    return out;
}

static void expect_as_plain(const struct tokenizer *tokenizer, bool by_text)
{
    for (int i = 0; i < 300; i++) {
        char text[41] = "";
        size_t length = 1 + random_below(40);
        for (size_t at = 0; at < length; at++)
            text[at] = letters[random_below(LETTERS)][0];
        expect_pieces(tokenizer, text, merged_plainly(text, by_text));
    }
}

Test(exec_tokenizer, merges_as_the_plain_algorithm_has_them)
{
    make_rules();
    bytes_visible();
    for (int i = 0; i < RULES; i++)
        merge(rules[i].left, rules[i].right);
    expect_as_plain(bpe("gpt-2"), false);
}

Test(exec_tokenizer, pieces_as_the_plain_algorithm_has_them)
{
    make_rules();
    spm_letters();
    for (int i = 0; i < RULES; i++)
        token(rules[i].whole, NORMAL, (float)-i);
    pair_bool("tokenizer.ggml.add_space_prefix", false);
    pair_bool("tokenizer.ggml.add_bos_token", false);
    expect_as_plain(spm(), true);
}

/* ---- time ---- */

/* What grows with the square of the length takes hours here; what does not, a fraction of a second. */
static void expect_quick(const struct tokenizer *tokenizer, const char *part)
{
    enum { LENGTH = 1 << 20 };
    char *text = arena_alloc(arena, LENGTH, 1);
    int *tokens = NULL;
    size_t count = 0, length = strlen(part);
    for (size_t i = 0; i < LENGTH; i++)
        text[i] = part[i % length];
    clock_t begin = clock();
    cr_assert(tokenizer_encode(tokenizer, arena, &diag, text, LENGTH, READ_LITERALLY, &tokens, &count));
    double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    cr_expect_lt(seconds, 20, "\"%s\" over and over took %g s", part, seconds);
    cr_expect_gt(count, 1);
}

static const char *const long_texts[] = {"a",
                                         " ",
                                         "\n ",
                                         "1",
                                         "'",
                                         "A",
                                         "aA",
                                         "\xc3\xa9",
                                         "中",
                                         "\x01",
                                         "a \n",
                                         "<u",
                                         "The cat sat on the mat, 1234 times. "};

Test(exec_tokenizer, long_texts_to_bytes)
{
    bytes_visible();
    merge("a", "a");
    merge("aa", "aa");
    merge("aaaa", "a");
    merge("Ġ", "Ġ");
    merge("t", "h");
    merge("th", "e");
    token("<u>", USER, 0);
    struct tokenizer *tokenizer = bpe("llama-bpe");
    for (size_t i = 0; i < sizeof long_texts / sizeof *long_texts; i++)
        expect_quick(tokenizer, long_texts[i]);
}

Test(exec_tokenizer, long_texts_to_pieces)
{
    spm_letters();
    token("aa", NORMAL, -1);
    token("aaaa", NORMAL, -2);
    token("aaa", NORMAL, -3);
    token("▁▁", NORMAL, -1);
    token("▁a▁", NORMAL, -1);
    token("<u>", USER, 0);
    struct tokenizer *tokenizer = spm();
    for (size_t i = 0; i < sizeof long_texts / sizeof *long_texts; i++)
        expect_quick(tokenizer, long_texts[i]);
}

/* ---- what is refused ---- */

static void expect_refused(const char *message)
{
    cr_expect_null(make());
    cr_expect_str_eq(diag_first_error(&diag), arena_printf(arena, "a.gguf: error: %s", message));
}

Test(exec_tokenizer, no_tokenizer)
{
    expect_refused("tokenizer.ggml.model: missing, the file has no tokenizer");
}

Test(exec_tokenizer, kinds_that_are_not_done)
{
    pair_string("tokenizer.ggml.model", "t5");
    expect_refused("tokenizer.ggml.model: found \"t5\", expected \"gpt2\" or \"llama\"");
}

Test(exec_tokenizer, a_kind_that_is_a_number)
{
    pair_u32("tokenizer.ggml.model", 1);
    expect_refused("tokenizer.ggml.model: expected a string");
}

Test(exec_tokenizer, no_tokens)
{
    pair_string("tokenizer.ggml.model", "gpt2");
    expect_refused("tokenizer.ggml.tokens: found 0 tokens, expected 1 to 1048576");
}

Test(exec_tokenizer, too_many_tokens)
{
    pair_string("tokenizer.ggml.model", "gpt2");
    file.token_count = (1 << 20) + 1;
    for (uint32_t i = 0; i < file.token_count; i++)
        number(&file.tokens, 0, 8);
    expect_refused("tokenizer.ggml.tokens: found 1048577 tokens, expected 1 to 1048576");
}

Test(exec_tokenizer, a_token_as_long_as_a_book)
{
    char text[1026];
    memset(text, 'a', sizeof text);
    text[1025] = '\0';
    token(text, NORMAL, 0);
    pair_string("tokenizer.ggml.model", "gpt2");
    expect_refused("tokenizer.ggml.tokens: token 0 has 1025 bytes, expected at most 1024");
}

/* Vocabularies of released models have added tokens, such as a plain space, beside those that spell the same
 * bytes; merges make the latter. */
Test(exec_tokenizer, the_first_of_equal_tokens_counts)
{
    bytes_visible();
    merge("a", "b");
    token(" ", NORMAL, 0);
    token("ab", NORMAL, 0);
    uint32_t user = token("<u>", USER, 0);
    token("<u>", USER, 0);
    token("<u>v", USER, 0);
    struct tokenizer *tokenizer = bpe("gpt-2");
    cr_expect_str_eq(ids(tokenizer, "ab <u>"), arena_printf(arena, "256 32 %u", user));
    cr_expect_str_eq(ids(tokenizer, "<u>v"), arena_printf(arena, "%u", user + 2));
}

Test(exec_tokenizer, fewer_types_than_tokens)
{
    token("a", NORMAL, 0);
    pairs_bpe("gpt-2");
    token("b", NORMAL, 0);
    expect_refused("tokenizer.ggml.token_type: found 1 values, expected 2, one a token");
}

Test(exec_tokenizer, types_that_are_none)
{
    token("a", 7, 0);
    pairs_bpe("gpt-2");
    expect_refused("tokenizer.ggml.token_type: token 0 has type 7, expected 1 to 6");
}

Test(exec_tokenizer, unknown_pre_tokenizers)
{
    token("a", NORMAL, 0);
    pairs_bpe("qwen3000");
    cr_expect_null(make());
    cr_expect_not_null(strstr(diag_first_error(&diag),
                              "a.gguf: error: tokenizer.ggml.pre: found \"qwen3000\", "
                              "expected one of gpt-2, default, phi-2"));
}

Test(exec_tokenizer, no_merges)
{
    token("a", NORMAL, 0);
    pair_string("tokenizer.ggml.model", "gpt2");
    pair_string("tokenizer.ggml.pre", "gpt-2");
    expect_refused("tokenizer.ggml.merges: missing");
}

Test(exec_tokenizer, merges_that_are_numbers)
{
    token("a", NORMAL, 0);
    pair_string("tokenizer.ggml.model", "gpt2");
    pair_string("tokenizer.ggml.pre", "gpt-2");
    pair_array("tokenizer.ggml.merges", GGUF_I32, file.token_count, &file.types);
    expect_refused("tokenizer.ggml.merges: expected an array of strings");
}

Test(exec_tokenizer, merges_without_two_parts)
{
    token("a", NORMAL, 0);
    string(&file.merges, "a ");
    file.merge_count = 1;
    pairs_bpe("gpt-2");
    expect_refused("tokenizer.ggml.merges: merge 0: expected two tokens and a space");
}

Test(exec_tokenizer, merges_of_what_is_no_token)
{
    token("a", NORMAL, 0);
    string(&file.merges, "a b");
    file.merge_count = 1;
    pairs_bpe("gpt-2");
    expect_refused("tokenizer.ggml.merges: merge 0: its right part is no normal token");
}

Test(exec_tokenizer, merges_into_what_is_no_token)
{
    token("a", NORMAL, 0);
    token("aa", CONTROL, 0);
    string(&file.merges, "a a");
    file.merge_count = 1;
    pairs_bpe("gpt-2");
    expect_refused("tokenizer.ggml.merges: merge 0: what it makes is no normal token");
}

Test(exec_tokenizer, a_merge_as_long_as_a_book)
{
    char text[3000];
    memset(text, 'a', sizeof text);
    text[2999] = '\0';
    token("a", NORMAL, 0);
    string(&file.merges, text);
    file.merge_count = 1;
    pairs_bpe("gpt-2");
    expect_refused("tokenizer.ggml.merges: merge 0 has 2999 bytes, expected at most 2048");
}

Test(exec_tokenizer, ends_beyond_the_vocabulary)
{
    token("a", NORMAL, 0);
    pairs_bpe("gpt-2");
    pair_u32("tokenizer.ggml.eos_token_id", 1);
    expect_refused("tokenizer.ggml.eos_token_id: found 1, expected a token's number below 1");
}

Test(exec_tokenizer, a_first_token_that_is_missing)
{
    token("a", NORMAL, 0);
    pairs_bpe("llama-bpe");
    expect_refused("tokenizer.ggml.bos_token_id: missing, and texts begin with that token");
}

Test(exec_tokenizer, a_last_token_that_is_missing)
{
    token("a", NORMAL, 0);
    pairs_bpe("gpt-2");
    pair_bool("tokenizer.ggml.add_eos_token", true);
    expect_refused("tokenizer.ggml.eos_token_id: missing, and texts end with that token");
}

Test(exec_tokenizer, truth_that_is_a_number)
{
    token("a", NORMAL, 0);
    pairs_bpe("gpt-2");
    pair_u32("tokenizer.ggml.add_bos_token", 1);
    expect_refused("tokenizer.ggml.add_bos_token: expected true or false");
}

Test(exec_tokenizer, no_scores)
{
    token("a", NORMAL, 0);
    pair_string("tokenizer.ggml.model", "llama");
    pair_array("tokenizer.ggml.token_type", GGUF_I32, file.token_count, &file.types);
    expect_refused("tokenizer.ggml.scores: missing");
}

Test(exec_tokenizer, scores_that_are_no_numbers)
{
    token("a", NORMAL, 0.0f / 0.0f);
    pairs_spm();
    expect_refused("tokenizer.ggml.scores: token 0 has no finite score");
}

Test(exec_tokenizer, no_types)
{
    token("a", NORMAL, 0);
    pair_string("tokenizer.ggml.model", "llama");
    pair_array("tokenizer.ggml.scores", GGUF_F32, file.token_count, &file.scores);
    expect_refused("tokenizer.ggml.token_type: missing");
}

Test(exec_tokenizer, bytes_that_are_none)
{
    token("<0x4g>", BYTE, 0);
    pairs_spm();
    expect_refused("tokenizer.ggml.tokens: token 0 is of type byte, but its text is not like <0x0A>");
}

Test(exec_tokenizer, bytes_twice)
{
    token("<0x41>", BYTE, 0);
    token("<0x41>", BYTE, 0);
    pairs_spm();
    expect_refused("tokenizer.ggml.tokens: tokens 0 and 1 stand for the same byte");
}

Test(exec_tokenizer, unknown_tokens_that_are_text)
{
    token("a", NORMAL, 0);
    pair_u32("tokenizer.ggml.unknown_token_id", 0);
    pairs_spm();
    expect_refused("tokenizer.ggml.unknown_token_id: token 0 is of type 1, expected 2 or 3");
}

/* Token 0 is the unknown one by custom only. */
Test(exec_tokenizer, characters_without_a_token_or_bytes)
{
    int *tokens;
    size_t count;
    token("a", NORMAL, 0);
    token("b", NORMAL, 0);
    struct tokenizer *tokenizer = spm();
    cr_expect_not(tokenizer_encode(tokenizer, arena, &diag, "a", 1, READ_LITERALLY, &tokens, &count));
    cr_expect_str_eq(diag_first_error(&diag), "error: the text holds byte 0xe2, which no token stands for");
}

Test(exec_tokenizer, normalisation_that_is_not_done)
{
    token("a", NORMAL, 0);
    pair_bool("tokenizer.ggml.remove_extra_whitespaces", true);
    pairs_spm();
    expect_refused("tokenizer.ggml.remove_extra_whitespaces: expected false, normalising spaces is not "
                   "supported");
}

Test(exec_tokenizer, character_maps_that_are_not_done)
{
    token("a", NORMAL, 0);
    pair_array("tokenizer.ggml.precompiled_charsmap", GGUF_U8, 4,
               &(struct text){.data = "abcd", .length = 4});
    pairs_spm();
    expect_refused("tokenizer.ggml.precompiled_charsmap: normalising characters is not supported");
}

Test(exec_tokenizer, texts_too_long)
{
    int *tokens;
    size_t count;
    bytes_visible();
    struct tokenizer *tokenizer = bpe("gpt-2");
    cr_expect_not(
        tokenizer_encode(tokenizer, arena, &diag, "", (16 << 20) + 1, READ_LITERALLY, &tokens, &count));
    cr_expect_str_eq(diag_first_error(&diag),
                     "error: the text has 16777217 bytes, expected at most 16777216");
}
