//  tests/fuzz/replay_main.c - a fuzz target over its corpus, without libFuzzer
//
//  TAP, one line per file.  With arguments, those files are run instead: to
//  look at what a fuzzer found.
//
//  SPDX-License-Identifier: MPL-2.0

#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>

//  Nothing larger is worth keeping in a corpus.
#define FILE_MAX_BYTES (1024 * 1024)
#define FILES_MAX 1000

//  Feed one file, in memory of its own size so that an over-read is caught.
static int
s_replay (const char *path)
{
    FILE *file = fopen (path, "rb");
    if (!file) {
        return -1;
    }
    uint8_t *bytes = malloc (FILE_MAX_BYTES);
    const size_t size = bytes ? fread (bytes, 1, FILE_MAX_BYTES, file) : 0;
    fclose (file);
    uint8_t *exact = malloc (size ? size : 1);
    if (bytes && exact) {
        memcpy (exact, bytes, size);
        LLVMFuzzerTestOneInput (exact, size);
    }
    free (exact);
    free (bytes);
    return 0;
}

//  "…/fuzz_frame" -> tests/fuzz/corpus/frame in the source tree.
static void
s_find_corpus (const char *program, char *folder, size_t size)
{
    const char *source = getenv ("TERN_SRCDIR");
    const char *name = program;
    for (const char *at = program; (at = strstr (at, "fuzz_")); at++) {
        name = at + strlen ("fuzz_");
    }
    snprintf (folder, size, "%s/tests/fuzz/corpus/%s", source ? source : ".",
              name);
}

static int
s_compare (const void *one, const void *other)
{
    return strcmp (*(char *const *) one, *(char *const *) other);
}

//  Names of the files in a folder, sorted, the caller's to free.
static size_t
s_list (const char *folder, char **names)
{
    DIR *dir = opendir (folder);
    if (!dir) {
        return 0;
    }
    size_t count = 0;
    struct dirent *entry;
    while ((entry = readdir (dir)) && count < FILES_MAX) {
        if (entry->d_name[0] != '.') {
            names[count++] = strdup (entry->d_name);
        }
    }
    closedir (dir);
    qsort (names, count, sizeof *names, s_compare);
    return count;
}

int
main (int argc, char **argv)
{
    setvbuf (stdout, NULL, _IOLBF, 0);
    if (argc > 1) {
        for (int index = 1; index < argc; index++) {
            printf ("%s\n", argv[index]);
            if (s_replay (argv[index])) {
                perror (argv[index]);
                return 1;
            }
        }
        return 0;
    }
    char folder[4096];
    s_find_corpus (argv[0], folder, sizeof folder);
    static char *names[FILES_MAX];
    const size_t count = s_list (folder, names);
    printf ("1..%zu\n", count + 1);
    for (size_t index = 0; index < count; index++) {
        char path[sizeof folder + 300];
        snprintf (path, sizeof path, "%s/%s", folder, names[index]);
        const int rc = s_replay (path);
        printf ("%s %zu - comes back from %s\n", rc ? "not ok" : "ok",
                index + 1, names[index]);
        free (names[index]);
    }
    printf ("%s %zu - has a corpus\n", count ? "ok" : "not ok", count + 1);
    return 0;
}
