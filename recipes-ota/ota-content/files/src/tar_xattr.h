/* SPDX-License-Identifier: MIT */
/* Extended attributes and ACLs as archives write them, in the form in which the kernel has them. */
#ifndef TAR_XATTR_H
#define TAR_XATTR_H

#include "tar.h"

enum { XATTR_VALUE_LIMIT = 65536 };

struct xattr {
    char name[256];
    size_t length;
    uint8_t value[XATTR_VALUE_LIMIT];
};

/* False for what is none, or has names of users instead of numbers. An ACL that says no more than the mode has a length of 0. */
bool xattr_read(struct xattr *xattr, const struct tar_xattr *from);

#endif
