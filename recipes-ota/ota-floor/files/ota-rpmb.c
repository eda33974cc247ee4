/* SPDX-License-Identifier: MIT */
/*
 * ota-rpmb - the floor in the RPMB of an eMMC, and frames that somebody who has its key has made.
 *
 * usage: ota-rpmb DEVICE                            says key=yes|no, counter=N, floor=N
 *        ota-rpmb DEVICE frame HIGHEST <FRAME       hands one frame over: the key, once, or a permit whose floor is at most HIGHEST
 *
 * DEVICE is the RPMB (/dev/mmcblk0rpmb). The frames are those of JEDEC JESD84-B51, 6.6.22: whoever has no key can read, and write nothing, for the
 * eMMC itself verifies the code over a frame and that its counter is the number of writes so far. The floor is in the first block of 256 bytes:
 * the word OTAF, then the number, the lowest byte first; the boot script reads it there.
 *
 * exit status: 0; 1 something failed, the reason on standard error; 2 wrong usage; 3 the frame is none that may be used here, nothing was sent
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mmc/ioctl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FAILED = 1,
    USAGE = 2,
    REFUSED = 3,
    FRAME_BYTES = 512,
    /* Where the parts of a frame are; numbers have the highest byte first. */
    DATA = 228,
    COUNTER = 500,
    ADDRESS = 504,
    BLOCKS = 506,
    RESULT = 508,
    REQUEST = 510,
    REQUEST_KEY = 1,
    REQUEST_COUNTER = 2,
    REQUEST_WRITE = 3,
    REQUEST_READ = 4,
    REQUEST_RESULT = 5,
    ANSWER_OF = 0x100,
    RESULT_NO_KEY = 7,
    RESULT_MASK = 0x7f,
    HIGHEST_INDEX = 0xffff,
    COMMAND_READ = 18,
    COMMAND_WRITE = 25,
};

/* What the kernel calls these in a header of its own (include/linux/mmc/core.h): the kinds of answers and commands. */
enum {
    ANSWER_R1 = 1 << 0 | 1 << 2 | 1 << 4,
    COMMAND_READS_DATA = 1 << 5,
};
/* Of write_flag: the block is written as a whole or not at all. */
static const int reliable = (int)(1U << 31);

static const char usage[] = "Usage: ota-rpmb DEVICE [frame HIGHEST <FRAME]        DEVICE the RPMB of an eMMC, such as /dev/mmcblk0rpmb\n";
static const char magic[] = {'O', 'T', 'A', 'F'};

static const char *const results[] = {
    "done",
    "general failure",
    "it was made with another key, or changed",
    "its counter is not the number of writes so far: it was used before, or another one was",
    "the address is wrong",
    "writing failed",
    "reading failed",
    "the eMMC has no key yet",
};

struct state {
    bool has_key, has_floor;
    uint32_t counter, floor;
};

__attribute__((format(printf, 2, 3))) static int failed(int status, const char *format, ...) {
    va_list words;
    va_start(words, format);
    fputs("ota-rpmb: ", stderr);
    vfprintf(stderr, format, words);
    fputc('\n', stderr);
    va_end(words);
    return status;
}

static uint32_t number_at(const uint8_t *bytes, size_t size) {
    uint32_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

/* Of a block that has one. */
static bool floor_in(const uint8_t *data, uint32_t *floor) {
    const uint8_t *at = data + sizeof magic;
    *floor = (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
    return memcmp(data, magic, sizeof magic) == 0;
}

static struct mmc_ioc_cmd command_of(uint32_t opcode, int write_flag, uint8_t *frame) {
    struct mmc_ioc_cmd command = {
        .write_flag = write_flag,
        .opcode = opcode,
        .flags = ANSWER_R1 | COMMAND_READS_DATA,
        .blksz = FRAME_BYTES,
        .blocks = 1,
    };
    mmc_ioc_cmd_set_data(command, frame);
    return command;
}

/* Hands a frame over and takes the answer, which is to be one to this request. */
static int asked(int file, uint8_t *frame, uint8_t *answer) {
    uint32_t request = number_at(frame + REQUEST, 2);
    bool writes = request == REQUEST_KEY || request == REQUEST_WRITE;
    uint8_t result_wanted[FRAME_BYTES] = {[REQUEST + 1] = REQUEST_RESULT};
    union {
        struct mmc_ioc_multi_cmd head;
        uint8_t room[sizeof(struct mmc_ioc_multi_cmd) + 3 * sizeof(struct mmc_ioc_cmd)];
    } commands;
    memset(&commands, 0, sizeof commands);
    struct mmc_ioc_cmd *next = commands.head.cmds;
    *next++ = command_of(COMMAND_WRITE, writes ? 1 | reliable : 1, frame);
    if (writes) {
        *next++ = command_of(COMMAND_WRITE, 1, result_wanted);
    }
    *next++ = command_of(COMMAND_READ, 0, answer);
    commands.head.num_of_cmds = (uint64_t)(next - commands.head.cmds);
    memset(answer, 0, FRAME_BYTES);
    if (ioctl(file, MMC_IOC_MULTI_CMD, &commands) != 0) {
        return failed(FAILED, "the RPMB does not answer: %s", strerror(errno));
    }
    uint32_t answered = number_at(answer + REQUEST, 2);
    if (answered != request * ANSWER_OF) {
        return failed(FAILED, "expected the answer to request %u of the RPMB, found %04x", (unsigned)request, (unsigned)answered);
    }
    return 0;
}

static uint32_t result_of(const uint8_t *answer) {
    return number_at(answer + RESULT, 2) & RESULT_MASK;
}

static int refused_by_device(uint32_t result) {
    return failed(FAILED, "the eMMC refuses: %s", result < sizeof results / sizeof *results ? results[result] : "a reason that it does not name");
}

static int state_read(int file, struct state *state) {
    uint8_t frame[FRAME_BYTES] = {[REQUEST + 1] = REQUEST_COUNTER}, answer[FRAME_BYTES];
    memset(state, 0, sizeof *state);
    int status = asked(file, frame, answer);
    if (status != 0 || result_of(answer) == RESULT_NO_KEY) {
        return status;
    }
    if (result_of(answer) != 0) {
        return refused_by_device(result_of(answer));
    }
    state->has_key = true;
    state->counter = number_at(answer + COUNTER, 4);
    memset(frame, 0, sizeof frame);
    frame[REQUEST + 1] = REQUEST_READ;
    status = asked(file, frame, answer);
    if (status == 0 && result_of(answer) != 0) {
        status = refused_by_device(result_of(answer));
    }
    if (status == 0) {
        state->has_floor = floor_in(answer + DATA, &state->floor);
    }
    return status;
}

static int shown(int file) {
    struct state state;
    int status = state_read(file, &state);
    if (status != 0) {
        return status;
    }
    printf("key=%s\ncounter=%u\n", state.has_key ? "yes" : "no", (unsigned)state.counter);
    if (state.has_floor) {
        printf("floor=%u\n", (unsigned)state.floor);
    } else {
        puts("floor=");
    }
    return fflush(stdout) != 0 ? failed(FAILED, "cannot be said: %s", strerror(errno)) : 0;
}

/* Whether it may be handed over: what is in it, and what this device is. */
static int judged(const uint8_t *frame, const struct state *state, uint32_t highest) {
    uint32_t request = number_at(frame + REQUEST, 2), floor;
    if (request == REQUEST_KEY) {
        return state->has_key ? failed(REFUSED, "the eMMC has its key already, and gets one only once") : 0;
    }
    if (request != REQUEST_WRITE || number_at(frame + ADDRESS, 2) != 0 || number_at(frame + BLOCKS, 2) != 1 || !floor_in(frame + DATA, &floor) ||
        floor > HIGHEST_INDEX) {
        return failed(REFUSED, "expected a permit, as ota-verified permit makes it, or the frame of ota-verified floor-key; found another one");
    }
    if (floor > highest) {
        return failed(REFUSED, "the permit wants nothing started below rollback index %u, and this system has %u: it would not start again",
                      (unsigned)floor, (unsigned)highest);
    }
    if (!state->has_key) {
        return failed(REFUSED, "the eMMC has no key yet: expected the frame of ota-verified floor-key before the first permit");
    }
    uint32_t counter = number_at(frame + COUNTER, 4);
    if (counter != state->counter) {
        return failed(REFUSED, "the permit is for counter %u, and the counter of this RPMB is %u: each permit works once", (unsigned)counter,
                      (unsigned)state->counter);
    }
    return 0;
}

static int handed_over(int file, uint8_t *frame, uint32_t highest) {
    struct state state;
    uint8_t answer[FRAME_BYTES];
    int status = state_read(file, &state);
    if (status == 0) {
        status = judged(frame, &state, highest);
    }
    if (status == 0) {
        status = asked(file, frame, answer);
    }
    if (status == 0 && result_of(answer) != 0) {
        status = refused_by_device(result_of(answer));
    }
    if (status == 0) {
        status = state_read(file, &state);
    }
    if (status != 0) {
        return status;
    }
    uint32_t floor = 0;
    bool is_there = number_at(frame + REQUEST, 2) == REQUEST_KEY ? state.has_key
                                                                 : floor_in(frame + DATA, &floor) && state.has_floor && state.floor == floor;
    return is_there ? 0 : failed(FAILED, "the eMMC took the frame, and reads back something else");
}

/* Exactly one, from standard input. */
static int frame_read(uint8_t *frame) {
    uint8_t read_to[FRAME_BYTES + 1];
    size_t size = fread(read_to, 1, sizeof read_to, stdin);
    if (ferror(stdin)) {
        return failed(FAILED, "standard input cannot be read: %s", strerror(errno));
    }
    if (size != FRAME_BYTES) {
        return failed(REFUSED, "expected a frame of %d bytes, found %s", FRAME_BYTES, size < FRAME_BYTES ? "fewer" : "more");
    }
    memcpy(frame, read_to, FRAME_BYTES);
    return 0;
}

static int opened(const char *device) {
    struct stat found;
    int file = open(device, O_RDWR | O_CLOEXEC);
    if (file < 0) {
        failed(FAILED, "%s cannot be opened: %s", device, strerror(errno));
        return -1;
    }
    /* Others would take the number of the request for something else. */
    const char *name = strrchr(device, '/');
    name = name != NULL ? name + 1 : device;
    size_t size = strlen(name);
    if (fstat(file, &found) != 0 || !S_ISCHR(found.st_mode) || strncmp(name, "mmcblk", 6) != 0 || size < 4 || strcmp(name + size - 4, "rpmb") != 0) {
        failed(FAILED, "%s: expected the RPMB of an eMMC, such as /dev/mmcblk0rpmb", device);
        close(file);
        return -1;
    }
    return file;
}

/* Digits only. */
static bool index_in(const char *text, uint32_t *value) {
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0') {
        return false;
    }
    *value = (uint32_t)strtoul(text, NULL, 10);
    return *value <= HIGHEST_INDEX;
}

int main(int count, char **words) {
    uint32_t highest = 0;
    uint8_t frame[FRAME_BYTES];
    bool hands_over = count == 4 && strcmp(words[2], "frame") == 0 && index_in(words[3], &highest);
    if (count < 2 || words[1][0] == '-' || (count != 2 && !hands_over)) {
        fputs(usage, stderr);
        return USAGE;
    }
    int status = hands_over ? frame_read(frame) : 0;
    if (status != 0) {
        return status;
    }
    int file = opened(words[1]);
    if (file < 0) {
        return FAILED;
    }
    status = hands_over ? handed_over(file, frame, highest) : shown(file);
    close(file);
    return status;
}
