// SPDX-License-Identifier: MIT
/*
 * ota-verity DEVICE TABLE - for the initramfs of verified boot: the file system at the beginning of DEVICE, a slot, as /dev/dm-N (printed),
 * each of whose blocks the kernel verifies by the hash tree that TABLE describes. TABLE is signed with the initramfs.
 *
 * All of it is read once before anything uses it. Nothing counts the starts of a committed slot, so a block that was changed has to be
 * found here, or it would end the system again and again: its slot is taken out of use, by a mark in place of the first block of its signed
 * image, which the boot script takes for a slot that does not start. From then on a changed block restarts the board, and is found by the next start.
 *
 * exit status: 0 verified, 3 a block was changed (the slot is marked), 1 anything else
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { BLOCK = 4096, SECTORS_OF_BLOCK = 8, PIECE = 1 << 20, HASH_DIGITS = 64, CHANGED = 3 };

static const char name[] = "ota-root";

struct tree {
    uint64_t data_blocks, tree_block, fit_block;
    char root[HASH_DIGITS + 1], salt[HASH_DIGITS + 1];
};

/* What the kernel takes: a header, and behind it one target with its words. */
struct request {
    struct dm_ioctl head;
    struct dm_target_spec target;
    char words[512];
};

static int failed(const char *format, ...) {
    va_list words;
    va_start(words, format);
    fputs("ota-verity: ", stderr);
    vfprintf(stderr, format, words);
    fputc('\n', stderr);
    va_end(words);
    return 1;
}

/* Exactly as it is written by the one who signs it, nothing else. */
static int table_read(const char *path, struct tree *tree) {
    char text[512], again[512];
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return failed("%s cannot be opened: %s", path, strerror(errno));
    }
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    int found = sscanf(text,
                       "format=1\ndata_blocks=%10" SCNu64 "\ntree_block=%10" SCNu64 "\nfit_block=%10" SCNu64
                       "\nroot=%64[0-9a-f]\nsalt=%64[0-9a-f]\n",
                       &tree->data_blocks, &tree->tree_block, &tree->fit_block, tree->root, tree->salt);
    if (found == 5) {
        snprintf(again, sizeof again,
                 "format=1\ndata_blocks=%010" PRIu64 "\ntree_block=%010" PRIu64 "\nfit_block=%010" PRIu64 "\nroot=%s\nsalt=%s\n",
                 tree->data_blocks, tree->tree_block, tree->fit_block, tree->root, tree->salt);
    }
    if (found != 5 || strcmp(text, again) != 0 || strlen(tree->root) != HASH_DIGITS || strlen(tree->salt) != HASH_DIGITS ||
        tree->data_blocks == 0 || tree->data_blocks > tree->fit_block || tree->fit_block >= tree->tree_block) {
        return failed("%s is no description of a hash tree", path);
    }
    return 0;
}

static void request_begin(struct request *request, uint32_t flags) {
    memset(request, 0, sizeof *request);
    request->head.version[0] = DM_VERSION_MAJOR;
    request->head.data_size = sizeof *request;
    request->head.data_start = offsetof(struct request, target);
    request->head.flags = flags;
    memcpy(request->head.name, name, sizeof name);
}

static int asked(int control, unsigned long what, struct request *request, const char *words) {
    if (ioctl(control, what, request) != 0) {
        return failed("the kernel does not %s: %s", words, strerror(errno));
    }
    return 0;
}

/* A table, and from now on it is the one that counts. */
static int table_loaded(int control, const char *device, const struct tree *tree, const char *options) {
    struct request request;
    request_begin(&request, DM_READONLY_FLAG);
    request.head.target_count = 1;
    request.target.length = tree->data_blocks * SECTORS_OF_BLOCK;
    memcpy(request.target.target_type, "verity", sizeof "verity");
    int size = snprintf(request.words, sizeof request.words, "1 %s %s %d %d %" PRIu64 " %" PRIu64 " sha256 %s %s%s", device, device,
                        BLOCK, BLOCK, tree->data_blocks, tree->tree_block, tree->root, tree->salt, options);
    if (size < 0 || (size_t)size >= sizeof request.words) {
        return failed("the name %s is too long", device);
    }
    int code = asked(control, DM_TABLE_LOAD, &request, "take the hash tree (CONFIG_DM_VERITY)");
    if (code == 0) {
        /* Without the flag to suspend it is the opposite. */
        request_begin(&request, 0);
        code = asked(control, DM_DEV_SUSPEND, &request, "use the hash tree");
    }
    return code;
}

static int mapped(int control, const char *device, const struct tree *tree, char *path, size_t path_size) {
    struct request request;
    request_begin(&request, 0);
    int code = asked(control, DM_DEV_CREATE, &request, "make a device");
    if (code == 0) {
        snprintf(path, path_size, "/dev/dm-%u", minor(request.head.dev));
        code = table_loaded(control, device, tree, "");
    }
    return code;
}

static void unmapped(int control) {
    struct request request;
    request_begin(&request, 0);
    ioctl(control, DM_DEV_REMOVE, &request);
}

/* The first block from `from` on that cannot be read, or the number of blocks. -1 for anything that says nothing of the blocks. */
static int64_t read_whole(const char *path, const struct tree *tree, uint64_t from) {
    static char piece[PIECE];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        failed("%s cannot be opened: %s", path, strerror(errno));
        return -1;
    }
    posix_fadvise(file, 0, 0, POSIX_FADV_SEQUENTIAL);
    uint64_t end = tree->data_blocks * BLOCK, at = from * BLOCK;
    size_t wanted = PIECE;
    while (at < end) {
        size_t size = end - at < wanted ? (size_t)(end - at) : wanted;
        ssize_t got = pread(file, piece, size, (off_t)at);
        if (got > 0) {
            at += (uint64_t)got;
        } else if (wanted > BLOCK) {
            wanted = BLOCK;
        } else {
            break;
        }
    }
    close(file);
    return (int64_t)(at / BLOCK);
}

static int marked(const char *device, const struct tree *tree, uint64_t block) {
    char mark[BLOCK] = "";
    snprintf(mark, sizeof mark, "OTA-CONDEMNED\nblock=%" PRIu64 "\n", block);
    int file = open(device, O_WRONLY | O_CLOEXEC);
    if (file < 0) {
        return failed("%s cannot be opened: %s", device, strerror(errno));
    }
    bool written = pwrite(file, mark, sizeof mark, (off_t)(tree->fit_block * BLOCK)) == (ssize_t)sizeof mark && fsync(file) == 0;
    int code = written ? 0 : failed("%s cannot be marked: %s", device, strerror(errno));
    close(file);
    return code;
}

int main(int argc, char **argv) {
    struct tree tree;
    char path[40] = "";
    if (argc != 3) {
        return failed("expected DEVICE and TABLE");
    }
    if (table_read(argv[2], &tree) != 0) {
        return 1;
    }
    int control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
    if (control < 0) {
        return failed("/dev/mapper/control cannot be opened (CONFIG_BLK_DEV_DM): %s", strerror(errno));
    }
    int64_t good = 0;
    /* Once more from the medium, and not from memory, before a slot is given up. */
    for (int i = 0; i < 2 && good >= 0 && (uint64_t)good < tree.data_blocks; i++) {
        unmapped(control);
        if (mapped(control, argv[1], &tree, path, sizeof path) != 0) {
            return 1;
        }
        good = read_whole(path, &tree, (uint64_t)good);
    }
    if (good < 0) {
        return 1;
    }
    if ((uint64_t)good < tree.data_blocks) {
        unmapped(control);
        failed("block %" PRId64 " of %s is not what was signed, so the slot is taken out of use", good, argv[1]);
        return marked(argv[1], &tree, (uint64_t)good) == 0 ? CHANGED : 1;
    }
    if (table_loaded(control, argv[1], &tree, " 1 restart_on_corruption") != 0) {
        return 1;
    }
    puts(path);
    return 0;
}
