/* KITH_ISA: every level can be forced by its name, anything else gives the best one and a note. The choice is made once a
 * process, so that each case runs in a child of a parent that never chooses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/wait.h>
#include <unistd.h>

#include "kern/cpu.h"
#include "kern/kern.h"

/* The exit status of a child that runs check(wanted) under KITH_ISA=wanted (NULL: unset). */
static int in_child(int (*check)(const char *wanted), const char *wanted) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (wanted)
            setenv("KITH_ISA", wanted, 1);
        else
            unsetenv("KITH_ISA");
        _exit(check(wanted));
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool has_level(const char *name) {
    const struct kern *level[8];
    size_t n = kern_levels(level, 8);
    for (size_t i = 0; i < n; i++)
        if (strcmp(level[i]->name, name) == 0) return true;
    return false;
}

/* 0: right. A level that this machine lacks must be refused with a note that names it and the best. */
static int check_choice(const char *wanted) {
    const struct kern *level[8];
    const struct kern *best = level[kern_levels(level, 8) - 1];
    if (!wanted || !*wanted) return kern_get() == best && !*kern_isa_note() ? 0 : 1;
    if (has_level(wanted))
        return strcmp(kern_get()->name, wanted) == 0 && !*kern_isa_note() ? 0 : 2;
    if (kern_get() != best || !strstr(kern_isa_note(), best->name)) return 3;
    char start[20];
    strncpy(start, wanted, sizeof start - 1);
    start[sizeof start - 1] = 0;
    return strstr(kern_isa_note(), start) ? 0 : 4;
}

static int check_levels(const char *wanted) {
    (void)wanted;
    const struct cpu *cpu = cpu_get();
    if (!has_level("scalar")) return 1;
    if (has_level("avx2") != cpu->avx2 || has_level("avx512") != cpu->avx512) return 2;
    if (has_level("avx512vnni") != cpu->vnni || has_level("amx") != cpu_amx()) return 3;
    if (has_level("avx512vbmi") != cpu->vbmi) return 5;
    return has_level("neon") == cpu->neon ? 0 : 4;
}

static void levels_are_those_of_the_machine(void **state) {
    (void)state;
    assert_int_equal(in_child(check_levels, NULL), 0);
}

static void any_level_can_be_forced(void **state) {
    (void)state;
    const char *names[] = {NULL,         "",           "scalar", "avx2", "avx512",
                           "avx512vnni", "avx512vbmi", "amx",    "neon"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(in_child(check_choice, names[i]), 0);
}

static void unknown_levels_give_the_best_and_a_note(void **state) {
    (void)state;
    char lengthy[1000];
    memset(lengthy, 'a', sizeof lengthy - 1);
    lengthy[sizeof lengthy - 1] = 0;
    assert_int_equal(in_child(check_choice, "sse9"), 0);
    assert_int_equal(in_child(check_choice, "AVX2"), 0);
    assert_int_equal(in_child(check_choice, lengthy), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_are_those_of_the_machine),
        cmocka_unit_test(any_level_can_be_forced),
        cmocka_unit_test(unknown_levels_give_the_best_and_a_note),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
