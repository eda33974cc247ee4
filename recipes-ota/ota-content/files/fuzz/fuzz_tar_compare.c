/* SPDX-License-Identifier: MIT */
/* An archive compared with a small tree, that of the corpus's archive same.tar. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory.h"
#include "sums.h"
#include "tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int root = -1;

static void must(int result) {
    if (result < 0) {
        abort();
    }
}

/* Once: folders, a file, a second name of it, a link. */
static void tree_made(void) {
    char folder[] = "/tmp/fuzz-tar-compare.XXXXXX";
    struct timespec times[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
    if (mkdtemp(folder) == NULL) {
        abort();
    }
    umask(0);
    must(root = open(folder, O_RDONLY | O_DIRECTORY));
    must(mkdirat(root, "etc", 0755));
    must(mkdirat(root, "usr", 0755));
    must(mkdirat(root, "usr/bin", 0755));
    int file = openat(root, "etc/name", O_WRONLY | O_CREAT, 0644);
    must(file);
    must(write(file, "board\n", 6) == 6 ? 0 : -1);
    must(futimens(file, times));
    must(close(file));
    must(linkat(root, "etc/name", root, "usr/bin/name", 0));
    must(symlinkat("usr/bin", root, "bin"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct memory memory = {.bytes = data, .size = size};
    struct tar_input input = {.read = memory_read, .self = &memory};
    struct tar_comparison comparison;
    struct tar_judgement judgement;
    struct reason reason = {0}, other = {0};
    if (root < 0) {
        tree_made();
    }
    int code = tar_compare(input, root, &comparison, NULL, &reason);
    if (code != 0 && ((code != 4 && code != 5 && code != 14) || reason.text[0] == '\0')) {
        abort();
    }
    memory.at = 0;
    int judged = tar_judge(input, &judgement, &other);
    /* What is refused beforehand is never the same, except for what only counts before. */
    if (code == 0 && judged != 0) {
        abort();
    }
    return 0;
}
