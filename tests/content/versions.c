/* SPDX-License-Identifier: MIT */
/* What the engine says of generated versions: for each pair of lines `yes` or `no` twice, and how they compare if both are versions. */
#include "manifest.h"

#include <stdio.h>
#include <string.h>

static bool line_read(char *line, size_t room, size_t *length) {
    if (fgets(line, (int)room, stdin) == NULL) {
        return false;
    }
    *length = strlen(line);
    if (*length > 0 && line[*length - 1] == '\n') {
        line[--*length] = '\0';
    }
    return true;
}

int main(void) {
    static char one[4096], other[4096];
    size_t one_length, other_length;
    char why[200];
    while (line_read(one, sizeof one, &one_length) && line_read(other, sizeof other, &other_length)) {
        struct version left, right;
        bool is_one = version_read(&left, one, one_length, why, sizeof why);
        bool is_other = version_read(&right, other, other_length, why, sizeof why);
        printf("%s %s %s\n", is_one ? "yes" : "no", is_other ? "yes" : "no",
               is_one && is_other ? (version_compare(&left, &right) < 0 ? "older" : "not") : "-");
    }
    return 0;
}
