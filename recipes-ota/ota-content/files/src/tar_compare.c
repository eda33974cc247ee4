/* SPDX-License-Identifier: MIT */
/*
 * An archive and the tree that somebody has unpacked from it. The tree does not change meanwhile, and whatever it holds, nothing
 * outside of it is looked at: no symbolic link is followed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "array.h"
#include "tar.h"
#include "tar_xattr.h"

enum { PIECE = 65536, DIFFERENCES = 256 };

/* What ext4 can hold as a time: 1901 to 2446. */
#define EARLIEST (-INT64_C(2147483648))
#define LATEST INT64_C(15032385535)

/* A member that the tree does not have as it is. A later member of the same name may be why. */
struct difference {
    uint64_t ordinal;
    struct reason reason;
};

/* Paths of folders that wait to be looked through, each ended by a zero. */
struct paths {
    char *text;
    size_t length, room;
};

struct comparing {
    int root;
    int parent; /* open folder of parent_name; -1: none */
    char parent_name[TAR_NAME_LIMIT + 1];
    struct tar_names *names;
    struct difference *differences;
    size_t difference_count;
    uint64_t links, linked; /* second names in the archive, and in the tree */
    uint8_t *found;         /* PIECE bytes */
    struct xattr *wanted, *there;
};

static int different(struct reason *reason, const struct tar_member *member, const char *what) {
    return fail(reason, CODE_DIFFERS, "/%.150s of the new system is not what the archive has: %s", member->name, what);
}

/* ---- places ---- */

/* The folder that holds a name, and the name's last part; all parts before it are folders, not links to some. */
static int parent_opened(struct comparing *comparing, const char *name, int *folder, const char **base) {
    const char *last = strrchr(name, '/');
    size_t length = last != NULL ? (size_t)(last - name) : 0;
    *base = last != NULL ? last + 1 : name[0] != '\0' ? name : ".";
    if (length == 0) {
        *folder = comparing->root;
        return 0;
    }
    if (comparing->parent >= 0 && strlen(comparing->parent_name) == length && memcmp(comparing->parent_name, name, length) == 0) {
        *folder = comparing->parent;
        return 0;
    }
    if (comparing->parent >= 0) {
        close(comparing->parent);
        comparing->parent = -1;
    }
    int at = comparing->root;
    memcpy(comparing->parent_name, name, length);
    comparing->parent_name[length] = '\0';
    for (char *part = comparing->parent_name; part != NULL;) {
        char *slash = strchr(part, '/');
        if (slash != NULL) {
            *slash = '\0';
        }
        int next = openat(at, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (at != comparing->root) {
            close(at);
        }
        if (slash != NULL) {
            *slash = '/';
        }
        if (next < 0) {
            return -1;
        }
        at = next;
        part = slash != NULL ? slash + 1 : NULL;
    }
    comparing->parent = at;
    *folder = at;
    return 0;
}

static int looked_at(struct comparing *comparing, const char *name, int *folder, const char **base, struct stat *is) {
    if (parent_opened(comparing, name, folder, base) != 0) {
        return -1;
    }
    return fstatat(*folder, *base, is, AT_SYMLINK_NOFOLLOW);
}

/* ---- content ---- */

static int tree_read(struct comparing *comparing, int file, uint64_t offset, size_t count, const struct tar_member *member,
                     struct reason *reason) {
    size_t done = 0;
    while (done < count) {
        ssize_t got = pread(file, comparing->found + done, count - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail_errno(reason, CODE_DIFFERS, "/%.150s of the new system cannot be read back", member->name);
        }
        if (got == 0) {
            return different(reason, member, "its content ends early");
        }
        done += (size_t)got;
    }
    return 0;
}

/* Zeros, where the archive has a hole. */
static int hole_compared(struct comparing *comparing, int file, uint64_t from, uint64_t to, const struct tar_member *member,
                         struct reason *reason) {
    while (from < to) {
        size_t count = to - from < PIECE ? (size_t)(to - from) : PIECE;
        int code = tree_read(comparing, file, from, count, member, reason);
        if (code != 0) {
            return code;
        }
        for (size_t i = 0; i < count; i++) {
            if (comparing->found[i] != 0) {
                return different(reason, member, "it has content where the archive has none");
            }
        }
        from += count;
    }
    return 0;
}

/* code is of the archive; what is different is in reason, with its code, and *found. All of the member's content is read. */
static int content_compared(struct comparing *comparing, struct tar *tar, const struct tar_member *member, int file, struct reason *found,
                            uint64_t *bytes, struct reason *reason) {
    uint64_t offset = 0, done = 0;
    const uint8_t *data = NULL;
    size_t count;
    for (;;) {
        int code = tar_data(tar, &offset, &data, &count, reason);
        if (code != 0) {
            return code;
        }
        if (count == 0) {
            break;
        }
        *bytes += count;
        if (file >= 0 && found->code == 0 && hole_compared(comparing, file, done, offset, member, found) == 0 &&
            tree_read(comparing, file, offset, count, member, found) == 0 && memcmp(comparing->found, data, count) != 0) {
            different(found, member, "its content");
        }
        done = offset + count;
    }
    if (file >= 0 && found->code == 0) {
        hole_compared(comparing, file, done, member->size, member, found);
    }
    return 0;
}

/* ---- what is not content ---- */

static int attributes_compared(struct comparing *comparing, const struct tar_member *member, int folder, const char *base,
                               struct reason *reason) {
    char path[320], what[320];
    /* The folder by its descriptor, the name without following it. */
    snprintf(path, sizeof path, "/proc/self/fd/%d/%s", folder, base);
    for (size_t i = 0; i < member->xattr_count; i++) {
        struct xattr *wanted = comparing->wanted;
        if (!xattr_read(wanted, &member->xattrs[i])) {
            return fail(reason, CODE_FORMAT, "an extended attribute of %.150s in the archive is not understood", member->name);
        }
        ssize_t length = lgetxattr(path, wanted->name, comparing->there->value, sizeof comparing->there->value);
        /* An ACL that says no more than the mode is none in the file system. */
        bool none = length < 0 && errno == ENODATA && wanted->length == 0 && member->xattrs[i].form != TAR_XATTR_RAW &&
                    member->xattrs[i].form != TAR_XATTR_BASE64;
        if (!none && (length < 0 || (size_t)length != wanted->length ||
                      memcmp(comparing->there->value, wanted->value, wanted->length) != 0)) {
            snprintf(what, sizeof what, "its attribute %.200s %s", wanted->name, length < 0 ? strerror(errno) : "has another value");
            return different(reason, member, what);
        }
    }
    return 0;
}

static mode_t type_of(enum tar_kind kind) {
    static const mode_t types[] = {[TAR_FILE] = S_IFREG,         [TAR_SYMLINK] = S_IFLNK,   [TAR_CHARACTER] = S_IFCHR,
                                   [TAR_BLOCK_DEVICE] = S_IFBLK, [TAR_DIRECTORY] = S_IFDIR, [TAR_FIFO] = S_IFIFO};
    return types[kind];
}

/* Of a file with an ACL the group's bits are the ACL's mask, which is compared with it. */
static uint32_t mode_bits(const struct tar_member *member) {
    for (size_t i = 0; i < member->xattr_count; i++) {
        const struct tar_xattr *xattr = &member->xattrs[i];
        static const char access[] = "system.posix_acl_access";
        if (xattr->form == TAR_XATTR_ACL_ACCESS ||
            (xattr->form == TAR_XATTR_RAW && xattr->name_length == sizeof access - 1 &&
             memcmp(xattr->name, access, sizeof access - 1) == 0)) {
            return 07707;
        }
    }
    return 07777;
}

static int properties_compared(const struct tar_member *member, const struct stat *is, int folder, const char *base,
                               struct reason *reason) {
    static const char *const kinds[] = {"a file", "a second name", "a symbolic link", "a character device", "a block device",
                                        "a directory", "a fifo"};
    char what[200], text[TAR_NAME_LIMIT + 1];
    if ((is->st_mode & S_IFMT) != type_of(member->kind)) {
        snprintf(what, sizeof what, "expected %s, its type is %o", kinds[member->kind], (unsigned)(is->st_mode & S_IFMT));
    } else if (member->kind != TAR_SYMLINK && (is->st_uid != member->uid || is->st_gid != member->gid)) {
        snprintf(what, sizeof what, "owner and group %" PRIu64 ":%" PRIu64 ", found %" PRIu64 ":%" PRIu64, member->uid, member->gid,
                 (uint64_t)is->st_uid, (uint64_t)is->st_gid);
    } else if (member->kind != TAR_SYMLINK && ((is->st_mode ^ member->mode) & mode_bits(member)) != 0) {
        snprintf(what, sizeof what, "mode %04o, found %04o", (unsigned)member->mode, (unsigned)(is->st_mode & 07777));
    } else if (member->kind == TAR_FILE && (uint64_t)is->st_size != member->size) {
        snprintf(what, sizeof what, "%" PRIu64 " bytes, found %lld", member->size, (long long)is->st_size);
    } else if (member->kind == TAR_FILE && member->mtime >= EARLIEST && member->mtime <= LATEST && is->st_mtim.tv_sec != member->mtime &&
               is->st_mtim.tv_sec != member->mtime_rounded) {
        snprintf(what, sizeof what, "modified %" PRId64 ", found %lld", member->mtime, (long long)is->st_mtim.tv_sec);
    } else if ((member->kind == TAR_CHARACTER || member->kind == TAR_BLOCK_DEVICE) &&
               (major(is->st_rdev) != member->major || minor(is->st_rdev) != member->minor)) {
        snprintf(what, sizeof what, "device %u:%u, found %u:%u", (unsigned)member->major, (unsigned)member->minor,
                 (unsigned)major(is->st_rdev), (unsigned)minor(is->st_rdev));
    } else if (member->kind == TAR_SYMLINK) {
        ssize_t length = readlinkat(folder, base, text, sizeof text);
        if (length >= 0 && (size_t)length == strlen(member->link) && memcmp(text, member->link, (size_t)length) == 0) {
            return 0;
        }
        snprintf(what, sizeof what, "a link to %.120s", member->link);
    } else {
        return 0;
    }
    return different(reason, member, what);
}

static int second_name_compared(struct comparing *comparing, const struct tar_member *member, const struct stat *is,
                                struct reason *reason) {
    struct stat first;
    int folder;
    const char *base;
    char what[200];
    if (looked_at(comparing, member->link, &folder, &base, &first) == 0 && first.st_dev == is->st_dev && first.st_ino == is->st_ino) {
        return 0;
    }
    snprintf(what, sizeof what, "expected another name of /%.150s", member->link);
    return different(reason, member, what);
}

/* ---- members ---- */

/* Names that others share: as many as the archive has. */
static void links_counted(struct comparing *comparing, const struct tar_member *member, const struct stat *is, bool replaces) {
    uint64_t others = S_ISDIR(is->st_mode) || is->st_nlink < 1 ? 0 : (uint64_t)is->st_nlink - 1;
    if (member->kind == TAR_LINK) {
        comparing->links++;
        if (replaces) {
            comparing->linked -= others;
        }
    } else if (!replaces) {
        comparing->linked += others;
    }
}

static int member_compared(struct comparing *comparing, struct tar *tar, const struct tar_member *member, bool replaces, uint64_t *bytes,
                           struct reason *found, struct reason *reason) {
    struct stat is;
    int folder, file = -1, code = 0;
    const char *base;
    if (looked_at(comparing, member->name, &folder, &base, &is) != 0) {
        fail_errno(found, CODE_DIFFERS, "/%.150s of the archive is not in the new system", member->name);
    } else {
        links_counted(comparing, member, &is, replaces);
        if (member->kind == TAR_LINK) {
            second_name_compared(comparing, member, &is, found);
        } else if (properties_compared(member, &is, folder, base, found) == 0 &&
                   attributes_compared(comparing, member, folder, base, found) == 0 && member->kind == TAR_FILE) {
            file = openat(folder, base, O_RDONLY | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
            if (file < 0) {
                fail_errno(found, CODE_DIFFERS, "/%.150s of the new system cannot be read back", member->name);
            }
        }
    }
    if (member->kind == TAR_FILE) {
        code = content_compared(comparing, tar, member, file, found, bytes, reason);
    }
    if (file >= 0) {
        close(file);
    }
    return code;
}

static void difference_forgotten(struct comparing *comparing, uint64_t ordinal) {
    for (size_t i = 0; i < comparing->difference_count; i++) {
        if (comparing->differences[i].ordinal == ordinal) {
            comparing->difference_count--;
            memmove(&comparing->differences[i], &comparing->differences[i + 1],
                    (comparing->difference_count - i) * sizeof *comparing->differences);
            return;
        }
    }
}

/* ---- what else is in the tree ---- */

static int path_added(struct paths *paths, const char *folder, const char *name, struct reason *reason) {
    size_t needed = strlen(folder) + 1 + strlen(name) + 1;
    if (paths->length + needed > paths->room) {
        char *text = array_grown(paths->text, &paths->room, paths->length + needed, 1, SIZE_MAX);
        if (text == NULL) {
            return fail(reason, CODE_RESOURCES, "no memory to look through the new system");
        }
        paths->text = text;
    }
    int length = snprintf(paths->text + paths->length, paths->room - paths->length, "%s%s%s", folder, folder[0] != '\0' ? "/" : "", name);
    paths->length += (size_t)length + 1;
    return 0;
}

static int folder_compared(struct comparing *comparing, struct paths *paths, const char *path, struct reason *reason) {
    char name[2 * TAR_NAME_LIMIT];
    int place;
    const char *base;
    int code = 0;
    int opened = -1;
    if (parent_opened(comparing, path, &place, &base) == 0) {
        opened = openat(place, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    DIR *folder = opened >= 0 ? fdopendir(opened) : NULL;
    if (folder == NULL) {
        if (opened >= 0) {
            close(opened);
        }
        return fail_errno(reason, CODE_DIFFERS, "/%.150s of the new system cannot be read back", path);
    }
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (entry == NULL) {
            code = errno != 0 ? fail_errno(reason, CODE_DIFFERS, "/%.150s of the new system cannot be read back", path) : 0;
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            (path[0] == '\0' && strcmp(entry->d_name, "lost+found") == 0)) {
            continue;
        }
        int length = snprintf(name, sizeof name, "%s%s%s", path, path[0] != '\0' ? "/" : "", entry->d_name);
        enum tar_entry is = TAR_ENTRY_NONE;
        if (length > 0 && (size_t)length < sizeof name) {
            is = tar_names_find(comparing->names, name, (size_t)length);
        }
        if (is == TAR_ENTRY_NONE) {
            code = fail(reason, CODE_DIFFERS, "/%.150s of the new system is not in the archive", name);
            break;
        }
        if (is == TAR_ENTRY_DIRECTORY && (code = path_added(paths, path, entry->d_name, reason)) != 0) {
            break;
        }
    }
    closedir(folder);
    return code;
}

static int tree_compared(struct comparing *comparing, struct reason *reason) {
    struct paths paths = {0};
    char path[TAR_NAME_LIMIT + 1];
    int code = folder_compared(comparing, &paths, "", reason);
    while (code == 0 && paths.length > 0) {
        /* The last one that was added. */
        size_t begin = paths.length - 1;
        while (begin > 0 && paths.text[begin - 1] != '\0') {
            begin--;
        }
        snprintf(path, sizeof path, "%s", paths.text + begin);
        paths.length = begin;
        code = folder_compared(comparing, &paths, path, reason);
    }
    free(paths.text);
    return code;
}

/* ---- all ---- */

int tar_compare(struct tar_input input, int root, struct tar_comparison *comparison, struct progress *progress, struct reason *reason) {
    struct comparing comparing = {.root = root, .parent = -1};
    struct tar *tar = NULL;
    const struct tar_member *member;
    uint64_t replaced;
    int code = 0;
    memset(comparison, 0, sizeof *comparison);
    comparing.names = tar_names_new();
    comparing.differences = calloc(DIFFERENCES + 1, sizeof *comparing.differences);
    comparing.found = malloc(PIECE);
    comparing.wanted = malloc(sizeof *comparing.wanted);
    comparing.there = malloc(sizeof *comparing.there);
    if (comparing.names == NULL || comparing.differences == NULL || comparing.found == NULL || comparing.wanted == NULL ||
        comparing.there == NULL) {
        code = fail(reason, CODE_RESOURCES, "no memory to compare the new system");
    } else {
        code = tar_open(&tar, input, reason);
    }
    while (code == 0 && (code = tar_next(tar, &member, reason)) == 0 && member != NULL) {
        struct difference *difference = &comparing.differences[comparing.difference_count];
        *difference = (struct difference){.ordinal = member->ordinal};
        if ((code = tar_names_add(comparing.names, member, &replaced, reason)) != 0) {
            break;
        }
        code = member_compared(&comparing, tar, member, replaced != TAR_NOT_REPLACED, &comparison->bytes, &difference->reason, reason);
        if (difference->reason.code != 0 && comparing.difference_count < DIFFERENCES) {
            comparing.difference_count++;
        }
        if (replaced != TAR_NOT_REPLACED) {
            difference_forgotten(&comparing, replaced);
        }
        comparison->members++;
        if (progress != NULL) {
            progress_step(progress, comparison->bytes, 0, 0);
        }
    }
    if (code == 0 && comparing.difference_count > 0) {
        *reason = comparing.differences[0].reason;
        code = reason->code;
    }
    if (code == 0) {
        code = tree_compared(&comparing, reason);
    }
    if (code == 0 && comparing.links != comparing.linked) {
        code = fail(reason, CODE_DIFFERS, "the new system has %" PRIu64 " second names of files, the archive %" PRIu64, comparing.linked,
                    comparing.links);
    }
    tar_close(tar);
    if (comparing.parent >= 0) {
        close(comparing.parent);
    }
    tar_names_free(comparing.names);
    free(comparing.differences);
    free(comparing.found);
    free(comparing.wanted);
    free(comparing.there);
    return code;
}
