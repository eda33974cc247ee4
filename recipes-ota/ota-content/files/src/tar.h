/* SPDX-License-Identifier: MIT */
/*
 * Archives of root file systems: ustar, GNU and pax, member by member, with bounded memory and without recursion.
 *
 * What a member is after all headers that speak of it; whatever could mean something that is not understood here is refused, for
 * another program unpacks it.
 */
#ifndef TAR_H
#define TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "say.h"
#include "system.h"

enum {
    TAR_BLOCK = 512,
    TAR_NAME_LIMIT = 4096,      /* bytes of a name, as the kernel has it */
    TAR_RECORDS_LIMIT = 1 << 20, /* bytes of all pax records of a member */
    TAR_XATTRS_LIMIT = 128,
    TAR_EXTENTS_LIMIT = 1 << 18 /* pieces of a sparse file */
};

enum tar_kind { TAR_FILE, TAR_LINK, TAR_SYMLINK, TAR_CHARACTER, TAR_BLOCK_DEVICE, TAR_DIRECTORY, TAR_FIFO };

/* Where the archive comes from. Like stream_read: fills the buffer; less comes only at the end. */
struct tar_input {
    int (*read)(void *self, void *buffer, size_t size, size_t *got, struct reason *reason);
    void *self;
};

/* An extended attribute, or an ACL as text. Neither ends with a zero. */
struct tar_xattr {
    enum tar_xattr_form { TAR_XATTR_RAW, TAR_XATTR_BASE64, TAR_XATTR_ACL_ACCESS, TAR_XATTR_ACL_DEFAULT } form;
    const char *name; /* BASE64: percent-encoded; not for ACLs */
    size_t name_length;
    const uint8_t *value;
    size_t length;
};

/* A piece of a file that has holes. */
struct tar_extent {
    uint64_t offset, bytes;
};

struct tar_member {
    uint64_t ordinal; /* the first member is 0 */
    uint64_t at;      /* of its header in the archive */
    enum tar_kind kind;
    const char *name; /* without leading, double and final slashes and dots; empty: the root */
    const char *link; /* TAR_LINK: a name likewise. TAR_SYMLINK: the text */
    uint32_t mode;    /* 07777 */
    uint64_t uid, gid;
    int64_t mtime, mtime_rounded; /* whole seconds: rounded down, and as the header has it, which may be rounded up */
    uint64_t size; /* of the file that it becomes */
    uint32_t major, minor;
    bool sparse;
    size_t xattr_count;
    const struct tar_xattr *xattrs;
    /* What the tar of busybox would get wrong, as words for people; empty if nothing. */
    char needs[160];
};

struct tar;

int tar_open(struct tar **tar, struct tar_input input, struct reason *reason);
void tar_close(struct tar *tar);
/* The next member, good until the next call; NULL at the end mark, after which only zeros came. */
int tar_next(struct tar *tar, const struct tar_member **member, struct reason *reason);
/* The next piece of the member's content: these bytes lie at this offset of the file, all between is zero. count 0: no more. */
int tar_data(struct tar *tar, uint64_t *offset, const uint8_t **data, size_t *count, struct reason *reason);

/* ---- which names there are ---- */

struct tar_names;

/* PROGRAM: a file that may be executed; an empty one is OTHER. */
enum tar_entry { TAR_ENTRY_NONE, TAR_ENTRY_DIRECTORY, TAR_ENTRY_FILE, TAR_ENTRY_PROGRAM, TAR_ENTRY_SYMLINK, TAR_ENTRY_OTHER };

#define TAR_NOT_REPLACED UINT64_MAX

struct tar_names *tar_names_new(void);
void tar_names_free(struct tar_names *names);
/*
 * Takes in a member. replaced is the ordinal of an earlier member of that name, or TAR_NOT_REPLACED. Refused is what programs
 * unpack differently: members beneath what is no directory, a directory in place of a file, a link to what is not there.
 */
int tar_names_add(struct tar_names *names, const struct tar_member *member, uint64_t *replaced, struct reason *reason);
enum tar_entry tar_names_find(const struct tar_names *names, const char *name, size_t length);
uint64_t tar_names_memory(const struct tar_names *names);

/* ---- judging ---- */

/* Whether an archive makes a system. */
struct tar_judgement {
    uint64_t members, files;
    uint64_t content_bytes; /* what a file system of 4 KiB blocks and inodes of 256 bytes needs for it */
    uint64_t largest_file;
    uint64_t memory;
    char needs[320]; /* what the tar of busybox would get wrong first, and where; empty if nothing */
    struct system_lack lack;
};

/* Reads all of the archive. 0, or 4 for what is refused, 5 for what is damaged. */
int tar_judge(struct tar_input input, struct tar_judgement *judgement, struct reason *reason);

/* ---- comparing ---- */

struct tar_comparison {
    uint64_t members, bytes;
};

/*
 * Compares the archive, member by member, with the tree below the open directory root. 0, or 14 for what is different, with the
 * name. Not compared is what the tar of busybox does not keep, and what changes nothing in a system: owners of symbolic links, and the
 * times of all but files.
 */
int tar_compare(struct tar_input input, int root, struct tar_comparison *comparison, struct progress *progress, struct reason *reason);

/* Digits and nothing else, at most 19, and no more than the limit. */
bool decimal_read(const char *text, size_t length, uint64_t limit, uint64_t *value);

#endif
