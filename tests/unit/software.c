#include "spec/software.h"

#include <criterion/criterion.h>
#include <string.h>

static struct arena *arena;
static struct diag diag;

static void set_up(void)
{
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
}

static void tear_down(void)
{
    arena_free(arena);
}

TestSuite(software, .init = set_up, .fini = tear_down);

static bool read_text(const char *text, struct software *software)
{
    struct reader reader = {arena, &diag};
    diag = (struct diag){.arena = arena};
    const struct yaml_node *root = yaml_parse(arena, &diag, "test.yaml", text, strlen(text));
    cr_assert_not_null(root, "%s", diag_first_error(&diag));
    return software_read(&reader, root, "test", software);
}

Test(software, a_bare_profile_is_the_plain_stack)
{
    struct software software;
    cr_assert(read_text("name: S\n", &software), "%s", diag_first_error(&diag));
    cr_assert(software.flash_attention && software.absorb_mla);
    cr_assert_not(software.graph_capture || software.pad_prompts || software.all_logits || software.copy_kv);
    cr_assert_eq(software.memory_utilization, 1);
    cr_assert_eq(software.kv_block_tokens, 1);
    cr_assert_eq(software.prefill_chunk_tokens, 0);
    cr_assert_eq(software.launch_host, 0);
}

Test(software, a_profile_is_read_into_si)
{
    struct software software;
    cr_assert(
        read_text(
            "name: S\nversion: '0.14'\ngraph_capture: true\nflash_attention: false\nhost_per_step: 2 ms\n"
            "context_bytes: 500 MiB\nmemory_utilization: 90%\nkv_block_tokens: 16\n"
            "calibrated_as: [b, c]\ncalibration: [{family: gemm, values: {t0: 9 us}}]\n"
            "sources: {host_per_step: unverified}\n",
            &software),
        "%s", diag_first_error(&diag));
    cr_assert_str_eq(software.version, "0.14");
    cr_assert(software.graph_capture && !software.flash_attention);
    cr_assert_float_eq(software.host_per_step, 2e-3, 1e-12);
    cr_assert_float_eq(software.context_bytes, 500.0 * 1048576, 1e-3);
    cr_assert_float_eq(software.memory_utilization, 0.9, 1e-12);
    cr_assert_eq(software.calibrated_as.count, 2);
    cr_assert_eq(software.calibration_count, 1);
    cr_assert_eq(software.source_count, 1);
}

Test(software, wrong_profiles_are_refused)
{
    const char *const cases[][2] = {
        {"version: x\n", "name"},
        {"name: S\ngraph_captur: true\n", "graph_capture"},
        {"name: S\nmemory_utilization: 1.5\n", "memory_utilization"},
        {"name: S\nmemory_utilization: 0\n", "memory_utilization"},
        {"name: S\nkv_block_tokens: 0\n", "kv_block_tokens"},
        {"name: S\nhost_per_step: -1 ms\n", "host_per_step"},
        {"name: S\nhost_per_step: 2\n", "host_per_step"},
        {"name: S\nfuse_qkv: maybe\n", "fuse_qkv"},
    };
    struct software software;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert_not(read_text(cases[i][0], &software), "taken: %s", cases[i][0]);
        cr_assert(strstr(diag_first_error(&diag), cases[i][1]) != NULL, "%s", diag_first_error(&diag));
    }
}
