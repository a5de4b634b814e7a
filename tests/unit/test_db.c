/* A database's folder and catalog: names, the lock, what a crash leaves; and what calls refuse. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <kith/db.h>

static char folder[64], path[128];
static kith_db *db;
static const kith_vector_field field = {"", 3, KITH_METRIC_L2};

static int enter(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/kith-db-XXXXXX");
    return mkdtemp(folder) && kith_db_open(&db, folder, NULL, NULL) == KITH_OK ? 0 : -1;
}

static int leave(void **state) {
    (void)state;
    char command[96];
    kith_db_close(db);
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static void again(void) {
    kith_db_close(db);
    assert_int_equal(kith_db_open(&db, folder, NULL, NULL), KITH_OK);
}

static void expect_names(const char *const *names) {
    char *list;
    assert_int_equal(kith_db_list(db, &list, NULL), KITH_OK);
    char *at = list;
    for (; *names; names++) {
        assert_string_equal(at, *names);
        at += strlen(at) + 1;
    }
    assert_string_equal(at, "");
    kith_text_free(list);
}

static void collections_have_names(void **state) {
    (void)state;
    kith_error err;
    const char *const three[] = {"a b", "images", "notes", NULL};
    const char *const moved[] = {"a b", "notes", "pictures", NULL};
    const char *const two[] = {"a b", "pictures", NULL};
    for (int i = 2; i >= 0; i--)
        assert_int_equal(kith_db_create(db, three[i], 1, &field, NULL), KITH_OK);
    expect_names(three);
    assert_int_equal(kith_db_create(db, "notes", 1, &field, &err), KITH_EDUPLICATE);
    assert_int_equal(kith_db_rename(db, "images", "notes", &err), KITH_EDUPLICATE);
    assert_int_equal(kith_db_rename(db, "image", "x", &err), KITH_ENOTFOUND);
    assert_int_equal(kith_db_rename(db, "images", "pictures", NULL), KITH_OK);
    expect_names(moved);
    again();
    expect_names(moved);
    assert_int_equal(kith_db_drop(db, "notes", NULL), KITH_OK);
    assert_int_equal(kith_db_drop(db, "notes", &err), KITH_ENOTFOUND);
    expect_names(two);
    again();
    expect_names(two);
    kith_collection_info info;
    assert_int_equal(kith_db_info(db, "notes", &info, &err), KITH_ENOTFOUND);
    assert_non_null(strstr(err.text, "notes"));
}

static bool exists(const char *name) {
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return stat(path, &status) == 0;
}

/* A folder that the catalog does not name is of a making or dropping that a crash cut short. */
static void leftovers_go(void **state) {
    (void)state;
    char command[300];
    assert_int_equal(kith_db_create(db, "kept", 1, &field, NULL), KITH_OK);
    snprintf(command, sizeof command, "cp -r %s/collection-1 %s/collection-77; mkdir %s/mine",
             folder, folder, folder);
    assert_int_equal(system(command), 0);
    again();
    assert_true(exists("collection-1"));
    assert_false(exists("collection-77"));
    assert_true(exists("mine"));
    assert_int_equal(kith_db_drop(db, "kept", NULL), KITH_OK);
    assert_false(exists("collection-1"));
}

static void one_process_at_a_time(void **state) {
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        kith_db *other;
        kith_error err;
        char number[32];
        snprintf(number, sizeof number, "process %ld", (long)getppid());
        bool locked = kith_db_open(&other, folder, NULL, &err) == KITH_ELOCKED;
        _exit(locked && strstr(err.text, number) ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* What is not a database does not become one, and is left as it was: nor does one that lost its catalog. */
static void other_folders_are_left_alone(void **state) {
    (void)state;
    char command[300], other[100];
    kith_error err;
    kith_db *none = NULL;
    assert_int_equal(kith_db_create(db, "c", 1, &field, NULL), KITH_OK);
    kith_db_close(db);
    snprintf(command, sizeof command, "mv %s/catalog.json %s/kept.json", folder, folder);
    assert_int_equal(system(command), 0);
    assert_int_equal(kith_db_open(&none, folder, NULL, &err), KITH_EFORMAT);
    assert_null(none);
    assert_true(exists("collection-1/points.mdb"));
    snprintf(command, sizeof command, "mv %s/kept.json %s/catalog.json", folder, folder);
    assert_int_equal(system(command), 0);
    assert_int_equal(kith_db_open(&db, folder, NULL, NULL), KITH_OK);
    kith_collection_info info;
    assert_int_equal(kith_db_info(db, "c", &info, NULL), KITH_OK);
    snprintf(other, sizeof other, "%s/mine", folder);
    snprintf(command, sizeof command, "mkdir -p %s/collection-1; echo text > %s/lock", other,
             other);
    assert_int_equal(system(command), 0);
    assert_int_equal(kith_db_open(&none, other, NULL, &err), KITH_EFORMAT);
    kith_db_options options = KITH_DB_OPTIONS_INIT;
    options.no_create = true;
    assert_int_equal(kith_db_open(&none, other, &options, &err), KITH_EFORMAT);
    snprintf(command, sizeof command, "grep -q text %s/lock", other);
    assert_int_equal(system(command), 0);
}

/* A scroll from an id that is none is an error, not a walk off the stack. */
static void ids_are_looked_at(void **state) {
    (void)state;
    kith_error err;
    kith_hits *hits = NULL;
    kith_query query = KITH_QUERY_INIT;
    char *text = calloc(1, 100001);
    memset(text, 'x', 100000);
    kith_id ids[] = {{KITH_ID_STRING, 100000, {0}}, {KITH_ID_STRING, 3, {0}}, {9, 0, {0}}};
    ids[0].string = text;
    ids[1].string = NULL;
    assert_int_equal(kith_db_create(db, "c", 1, &field, NULL), KITH_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kith_db_scroll(db, "c", &ids[i], &query, &hits, &err), KITH_EINVAL);
        assert_int_equal(kith_db_retrieve(db, "c", 1, &ids[i], NULL, false, &hits, &err),
                         KITH_EINVAL);
        kith_op op = {.kind = KITH_OP_DELETE, .n_ids = 1, .ids = &ids[i]};
        assert_int_equal(kith_db_write(db, "c", 1, &op, NULL, &err), KITH_EINVAL);
    }
    assert_null(hits);
    free(text);
}

static int write_vector(const float *values, size_t dim, const char *payload, kith_error *err) {
    kith_vector vector = {"", values, dim};
    kith_point point = {kith_id_number(1), payload, payload ? strlen(payload) : 0, 1, &vector};
    kith_op op = {.kind = KITH_OP_UPSERT, .n_points = 1, .points = &point};
    return kith_db_write(db, "c", 1, &op, NULL, err);
}

/* A vectors file that was cut, or that a bit fell over in: an error, where the vector is read. */
static void vectors_that_are_damaged(void **state) {
    (void)state;
    kith_error err;
    kith_hits *hits = NULL;
    kith_query query = KITH_QUERY_INIT;
    const float good[] = {1, 2, 3};
    kith_id id = kith_id_number(1);
    query.vector = good;
    query.dim = 3;
    query.with_vectors = true;
    assert_int_equal(kith_db_create(db, "c", 1, &field, NULL), KITH_OK);
    assert_int_equal(write_vector(good, 3, NULL, NULL), KITH_OK);
    kith_db_close(db);
    snprintf(path, sizeof path, "%s/collection-1/vectors-0", folder);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    fseek(file, 4096, SEEK_SET);
    fputc(1, file);
    fclose(file);
    assert_int_equal(kith_db_open(&db, folder, NULL, NULL), KITH_OK);
    assert_int_equal(kith_db_query(db, "c", &query, &hits, &err), KITH_ECORRUPT);
    kith_db_close(db);
    assert_int_equal(truncate(path, 4096), 0);
    assert_int_equal(kith_db_open(&db, folder, NULL, NULL), KITH_OK);
    assert_int_equal(kith_db_query(db, "c", &query, &hits, &err), KITH_ECORRUPT);
    query.vector = NULL;
    query.like = &id;
    assert_int_equal(kith_db_query(db, "c", &query, &hits, &err), KITH_ECORRUPT);
    assert_null(hits);
}

static void what_is_refused(void **state) {
    (void)state;
    kith_error err;
    kith_vector_field bad[2] = {field, field};
    assert_int_equal(kith_db_create(db, "a/b", 1, &field, &err), KITH_EINVAL);
    assert_int_equal(kith_db_create(db, "", 1, &field, &err), KITH_EINVAL);
    assert_int_equal(kith_db_create(db, "c", 2, bad, &err), KITH_EINVAL);
    bad[0].dim = 0;
    assert_int_equal(kith_db_create(db, "c", 1, bad, &err), KITH_EDIM);
    assert_int_equal(kith_db_create(db, "c", 1, &field, NULL), KITH_OK);
    const float good[] = {1, 2, 3}, nan[] = {1, NAN, 3}, huge[] = {3e38f, 0, 0};
    assert_int_equal(write_vector(good, 2, NULL, &err), KITH_EDIM);
    assert_non_null(strstr(err.text, "2"));
    assert_int_equal(write_vector(nan, 3, NULL, &err), KITH_ENONFINITE);
    assert_int_equal(err.at, 1);
    assert_int_equal(write_vector(huge, 3, NULL, &err), KITH_ERANGE);
    assert_int_equal(write_vector(good, 3, "[1]", &err), KITH_EINVAL);
    assert_int_equal(write_vector(good, 3, "{\"a\": tru}", &err), KITH_ESYNTAX);
    assert_int_equal(write_vector(good, 3, "{\"a\": true}", NULL), KITH_OK);
    kith_query query = KITH_QUERY_INIT;
    kith_hits *hits = NULL;
    assert_int_equal(kith_db_query(db, "c", &query, &hits, &err), KITH_EINVAL);
    query.vector = good;
    query.dim = 4;
    assert_int_equal(kith_db_query(db, "c", &query, &hits, &err), KITH_EDIM);
    query.dim = 3;
    query.filter = "{\"must\": [{\"key\": 7}]}";
    assert_int_equal(kith_db_query(db, "c", &query, &hits, &err), KITH_EFILTER);
    query.filter = NULL;
    query.field = "other";
    assert_int_equal(kith_db_query(db, "c", &query, &hits, &err), KITH_ENOTFOUND);
    query.field = "";
    query.vector = NULL;
    kith_id missing = kith_id_number(9);
    query.like = &missing;
    assert_int_equal(kith_db_query(db, "c", &query, &hits, &err), KITH_ENOTFOUND);
    assert_null(hits);
    kith_id id = kith_id_number(1);
    query.like = &id;
    assert_int_equal(kith_db_query(db, "c", &query, &hits, &err), KITH_OK);
    assert_int_equal(hits->n, 0); /* not itself */
    kith_hits_free(hits);
    kith_db_options options = KITH_DB_OPTIONS_INIT;
    options.no_create = true;
    kith_db *other;
    assert_int_equal(kith_db_open(&other, "/tmp/kith-no-such", &options, &err), KITH_EFORMAT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(collections_have_names, enter, leave),
        cmocka_unit_test_setup_teardown(leftovers_go, enter, leave),
        cmocka_unit_test_setup_teardown(one_process_at_a_time, enter, leave),
        cmocka_unit_test_setup_teardown(other_folders_are_left_alone, enter, leave),
        cmocka_unit_test_setup_teardown(ids_are_looked_at, enter, leave),
        cmocka_unit_test_setup_teardown(vectors_that_are_damaged, enter, leave),
        cmocka_unit_test_setup_teardown(what_is_refused, enter, leave)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
