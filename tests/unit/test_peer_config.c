//  test_peer_config - settings are checked where they enter
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void
test_defaults_are_there (void **state)
{
    (void) state;
    tern_config_t *config = tern_config_new ();
    assert_string_equal (tern_config_get (config, "directory"), "local");
    assert_null (tern_config_get (config, "name"));
    assert_null (tern_config_get (config, "no-such-setting"));
    assert_int_equal (trn_config_number (config, "ping_ms"), 1000);
    tern_config_destroy (&config);
    assert_null (config);
    tern_config_destroy (&config);
}

static void
test_bad_values_are_refused_and_change_nothing (void **state)
{
    (void) state;
    static const struct {
        const char *key, *value;
        int rc;
    } cases[] = {
        {"colour", "red", TERN_EINVAL},
        {"name", "Has Space", TERN_ENAME},
        {"name", "", TERN_ENAME},
        {"name", "a..b", TERN_ENAME},
        {"name", "../../etc", TERN_ENAME},
        {"data", "", TERN_EINVAL},
        {"directory", "", TERN_EINVAL},
        {"directory", "http://x", TERN_EINVAL},
        {"directory", "tcp://a:1,", TERN_EINVAL},
        {"directory", "tcp://a:1,,tcp://b:2", TERN_EINVAL},
        {"directory", "tcp://a:1,tcp://a:1,tcp://a:1,tcp://a:1,tcp://a:1",
         TERN_EINVAL},
        {"bind", "udp://x", TERN_EINVAL},
        {"ping_ms", "99", TERN_EINVAL},
        {"ping_ms", "60001", TERN_EINVAL},
        {"ping_ms", "-1", TERN_EINVAL},
        {"ping_ms", "1e3", TERN_EINVAL},
        {"ping_ms", "99999999999999999999", TERN_EINVAL},
        {"at_limit", "explode", TERN_EINVAL},
        {"drain", "maybe", TERN_EINVAL},
    };
    tern_config_t *config = tern_config_new ();
    for (size_t index = 0; index < sizeof cases / sizeof *cases; index++) {
        char why[300] = "";
        assert_int_equal (tern_config_set (config, cases[index].key,
                                           cases[index].value, why, sizeof why),
                          cases[index].rc);
        //  One line that names the setting.
        assert_non_null (strstr (why, cases[index].key));
        assert_null (strchr (why, '\n'));
    }
    char *huge = malloc (5001);
    memset (huge, 'x', 5000);
    huge[5000] = 0;
    assert_int_equal (tern_config_set (config, "data", huge, NULL, 0),
                      TERN_ETOOBIG);
    free (huge);
    assert_null (tern_config_get (config, "name"));
    assert_string_equal (tern_config_get (config, "ping_ms"), "1000");
    tern_config_destroy (&config);
}

static void
test_bounds_are_inside (void **state)
{
    (void) state;
    tern_config_t *config = tern_config_new ();
    assert_int_equal (tern_config_set (config, "ping_ms", "100", NULL, 0), 0);
    assert_int_equal (tern_config_set (config, "ping_ms", "60000", NULL, 0), 0);
    assert_int_equal (tern_config_set (config, "directory",
                                       "tcp://a:1,ipc:///b,tcp://c:2,tcp://d:3",
                                       NULL, 0),
                      0);
    tern_config_t *copy = tern_config_dup (config);
    tern_config_destroy (&config);
    assert_string_equal (tern_config_get (copy, "ping_ms"), "60000");
    tern_config_destroy (&copy);
}

static void
test_file_says_the_same (void **state)
{
    (void) state;
    const char *text = "tern\n    name = orders-1\n    ping_ms = 250\n"
                       "other\n    name = not-ours\n";
    tern_config_t *config = tern_config_new ();
    char why[300] = "";
    assert_int_equal (trn_config_parse (config, "x.cfg", text, strlen (text),
                                        why, sizeof why),
                      0);
    assert_string_equal (tern_config_get (config, "name"), "orders-1");
    assert_int_equal (trn_config_number (config, "ping_ms"), 250);

    text = "tern\n    ping_ms = soon\n";
    assert_int_equal (trn_config_parse (config, "x.cfg", text, strlen (text),
                                        why, sizeof why),
                      TERN_EINVAL);
    assert_non_null (strstr (why, "x.cfg"));
    assert_non_null (strstr (why, "ping_ms"));
    tern_config_destroy (&config);
}

static void
test_missing_and_odd_files_are_refused (void **state)
{
    (void) state;
    tern_config_t *config = tern_config_new ();
    char why[300] = "";
    assert_int_equal (
        tern_config_load (config, "/nonexistent/tern.cfg", why, sizeof why),
        TERN_ENOENT);
    assert_non_null (strstr (why, "/nonexistent/tern.cfg"));
    //  Not a regular file: must not be read for ever.
    assert_int_equal (tern_config_load (config, "/dev/zero", why, sizeof why),
                      TERN_ENOENT);
    assert_int_equal (
        trn_config_parse (config, "x", "a\0b", 3, why, sizeof why),
        TERN_EINVAL);
    tern_config_destroy (&config);
}

static void
test_environment_replaces_what_was_there (void **state)
{
    (void) state;
    tern_config_t *config = tern_config_new ();
    unsetenv ("TERN_CONFIG");
    unsetenv ("TERN_DATA");
    unsetenv ("TERN_DIRECTORY");
    setenv ("TERN_NAME", "from-environment", 1);
    assert_int_equal (tern_config_environment (config, NULL, 0), 0);
    assert_string_equal (tern_config_get (config, "name"), "from-environment");
    setenv ("TERN_NAME", "Not A Name", 1);
    assert_int_equal (tern_config_environment (config, NULL, 0), TERN_ENAME);
    unsetenv ("TERN_NAME");
    tern_config_destroy (&config);
}

static void
test_queues_have_settings_of_their_own (void **state)
{
    (void) state;
    static const char text[] = "tern\n"
                               "    limit_messages = 7\n"
                               "queue\n"
                               "    orders.eu\n"
                               "        max_deliveries = 3\n"
                               "        backoff = 100,500,2500\n"
                               "        expired = drop\n"
                               "        limit_messages = 9\n"
                               "    jobs\n"
                               "        backoff = fixed\n"
                               "        backoff_min_ms = 40000\n"
                               "        single = yes\n"
                               "        ttl_ms = 1000\n"
                               "    bounded\n"
                               "        at_limit = refuse\n";
    tern_config_t *first = tern_config_new ();
    char why[256] = "";
    assert_int_equal (trn_config_parse (first, "t.cfg", text, sizeof text - 1,
                                        why, sizeof why),
                      TERN_OK);
    tern_config_t *config = tern_config_dup (first);
    tern_config_destroy (&first);

    trn_policy_t policy;
    assert_true (trn_config_policy (config, "orders.eu", &policy));
    assert_int_equal (policy.max_deliveries, 3);
    assert_int_equal (policy.pause, TRN_PAUSE_LIST);
    assert_int_equal (policy.pause_count, 3);
    assert_int_equal (policy.pauses[2], 2500);
    assert_true (policy.drop_expired);
    assert_false (policy.single);
    assert_true (trn_config_policy (config, "jobs", &policy));
    assert_int_equal (policy.max_deliveries, 16);
    assert_int_equal (policy.pause, TRN_PAUSE_FIXED);
    assert_int_equal (policy.pause_min_ms, 40000);
    assert_int_equal (policy.pause_max_ms, 40000);
    assert_int_equal (policy.ttl_ms, 1000);
    assert_true (policy.single);

    //  A limit is no policy, and who has none of its own has the peer's.
    assert_false (trn_config_policy (config, "bounded", &policy));
    assert_false (trn_config_policy (config, "other", &policy));
    assert_int_equal (policy.max_deliveries, 16);
    assert_string_equal (
        trn_config_of_queue (config, "orders.eu", "limit_messages"), "9");
    assert_string_equal (
        trn_config_of_queue (config, "bounded", "limit_messages"), "7");
    assert_string_equal (trn_config_of_queue (config, "bounded", "at_limit"),
                         "refuse");
    assert_string_equal (trn_config_of_queue (config, "other", "at_limit"),
                         "block");
    assert_string_equal (tern_config_get (config, "queue/jobs/single"), "yes");
    assert_null (tern_config_get (config, "queue/jobs/backoff_max_ms"));
    tern_config_destroy (&config);
}

static void
test_wrong_settings_of_a_queue_are_refused (void **state)
{
    (void) state;
    static const char *const cases[][2] = {
        {"queue/", "1"},
        {"queue/orders", "1"},
        {"queue/orders/", "1"},
        {"queue/orders/name", "x"},
        {"queue/Orders/ttl_ms", "1"},
        {"queue//ttl_ms", "1"},
        {"queue/orders/ttl_ms", "31622400001"},
        {"queue/orders/ttl_ms", "-1"},
        {"queue/orders/max_deliveries", "many"},
        {"queue/orders/backoff", ""},
        {"queue/orders/backoff", "linear"},
        {"queue/orders/backoff", "1,,2"},
        {"queue/orders/backoff", "1,2,"},
        {"queue/orders/backoff", "0"},
        {"queue/orders/backoff", "4294967296"},
        {"queue/orders/backoff", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"},
        {"queue/orders/expired", "keep"},
        {"queue/orders/single", "maybe"},
        {"queue/orders/at_limit", "panic"},
    };
    tern_config_t *config = tern_config_new ();
    for (size_t index = 0; index < sizeof cases / sizeof *cases; index++) {
        char why[256] = "";
        assert_int_equal (tern_config_set (config, cases[index][0],
                                           cases[index][1], why, sizeof why),
                          TERN_EINVAL);
        assert_non_null (strstr (why, ": "));
    }
    trn_policy_t policy;
    assert_false (trn_config_policy (config, "orders", &policy));
    tern_config_destroy (&config);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_defaults_are_there),
        cmocka_unit_test (test_bad_values_are_refused_and_change_nothing),
        cmocka_unit_test (test_bounds_are_inside),
        cmocka_unit_test (test_file_says_the_same),
        cmocka_unit_test (test_missing_and_odd_files_are_refused),
        cmocka_unit_test (test_environment_replaces_what_was_there),
        cmocka_unit_test (test_queues_have_settings_of_their_own),
        cmocka_unit_test (test_wrong_settings_of_a_queue_are_refused),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
