/* SPDX-License-Identifier: MIT */
/* ota-grow: lets the last partition of a disk take what is free behind it. A power cut at any moment leaves a table that says the old size or
 * the new one: of a GPT the copy at the end of the disk is written first, and the one at its start when that is on the medium; U-Boot takes
 * either, and so does the kernel with `gpt` on its command line, which the boot script puts there. The table of an MBR is one sector. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/blkpg.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Exit codes. */
#define GROWN 0
#define FAILED 1
#define USAGE 2
#define NOTHING_TO_DO 3
#define KERNEL_KEEPS_THE_OLD 4
#define MADE_WHOLE 5

#define SECTOR 512u
/* In sectors, as all positions here. Less than this at the end of the disk is not worth a new partition table. */
#define SMALLEST_GROWTH 8192u

/* Of UEFI's specification: where the fields of a header and of an entry are, and the one number of entries that tools make. */
#define ENTRIES 128u
#define ENTRY_BYTES 128u
#define TABLE_BYTES (ENTRIES * ENTRY_BYTES)
#define TABLE_SECTORS (TABLE_BYTES / SECTOR)
#define HEADER_REVISION 8
#define HEADER_BYTES 12
#define HEADER_CRC 16
#define HEADER_HERE 24
#define HEADER_OTHER 32
#define HEADER_FIRST 40
#define HEADER_LAST 48
#define HEADER_ENTRIES 72
#define HEADER_COUNT 80
#define HEADER_ENTRY_BYTES 84
#define HEADER_TABLE_CRC 88
#define HEADER_LEAST 92u
#define ENTRY_FIRST 32
#define ENTRY_LAST 40
#define PRIMARY 1u

/* Of an MBR. */
#define MBR_RECORDS 446
#define MBR_RECORD_BYTES 16
#define MBR_TYPE 4
#define MBR_END_CHS 5
#define MBR_FIRST 8
#define MBR_COUNT 12
#define MBR_SIGNATURE 510
#define PROTECTIVE 0xee

static const char usage[] =
    "Usage: ota-grow DISK NUMBER FIRST        lets that partition, which begins with sector FIRST, take what is free behind it\n"
    "exit status: 0 grown, 1 failed, 2 usage, 3 nothing to do, 4 grown for the next boot, 5 both copies of the table are whole again\n";

struct disk {
    const char *name;
    int file;
    bool is_device;
    uint64_t sectors;
};

/* One copy of a GPT. */
struct table {
    uint8_t header[SECTOR];
    uint8_t entries[TABLE_BYTES];
};

struct partition {
    uint64_t first, last;
};

static int failed(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int failed(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("ota-grow: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return FAILED;
}

static uint64_t number_at(const uint8_t *from, unsigned bytes) {
    uint64_t value = 0;
    while (bytes > 0) {
        value = value << 8 | from[--bytes];
    }
    return value;
}

static void put_number(uint8_t *to, unsigned bytes, uint64_t value) {
    for (unsigned i = 0; i < bytes; i++, value >>= 8) {
        to[i] = (uint8_t)(value & 0xff);
    }
}

static uint32_t crc32_of(const uint8_t *bytes, size_t count) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
        }
    }
    return ~crc;
}

static bool sectors_read(const struct disk *disk, uint64_t sector, void *to, size_t bytes) {
    uint8_t *at = to;
    off_t from = (off_t)(sector * SECTOR);
    while (bytes > 0) {
        ssize_t count = pread(disk->file, at, bytes, from);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return false;
        }
        at += count, from += count, bytes -= (size_t)count;
    }
    return true;
}

static bool sectors_written(const struct disk *disk, uint64_t sector, const void *from, size_t bytes) {
    const uint8_t *at = from;
    off_t to = (off_t)(sector * SECTOR);
    while (bytes > 0) {
        ssize_t count = pwrite(disk->file, at, bytes, to);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return false;
        }
        at += count, to += count, bytes -= (size_t)count;
    }
    return true;
}

/* What was written before is on the medium, and what the medium says is what was written. */
static bool on_medium(const struct disk *disk, uint64_t sector, const void *expected, size_t bytes) {
    static uint8_t found[TABLE_BYTES];
    if (fdatasync(disk->file) != 0 || posix_fadvise(disk->file, (off_t)(sector * SECTOR), (off_t)bytes, POSIX_FADV_DONTNEED) != 0 ||
        !sectors_read(disk, sector, found, bytes)) {
        return false;
    }
    /* The reason that is said, unless one above was there first. */
    errno = EIO;
    return memcmp(found, expected, bytes) == 0;
}

/* ---- GPT ---- */

static uint64_t last_sector(const struct disk *disk) {
    return disk->sectors - 1;
}

/* The header at this sector; false if it is none, or one of a kind that nobody makes. */
static bool header_read(const struct disk *disk, uint64_t at, uint8_t *header) {
    uint8_t summed[SECTOR];
    if (!sectors_read(disk, at, header, SECTOR)) {
        return false;
    }
    uint64_t bytes = number_at(header + HEADER_BYTES, 4), entries = number_at(header + HEADER_ENTRIES, 8);
    if (memcmp(header, "EFI PART", 8) != 0 || number_at(header + HEADER_REVISION, 4) != 0x10000 || bytes < HEADER_LEAST || bytes > SECTOR) {
        return false;
    }
    memcpy(summed, header, sizeof summed);
    put_number(summed + HEADER_CRC, 4, 0);
    return number_at(header + HEADER_CRC, 4) == crc32_of(summed, (size_t)bytes) && number_at(header + HEADER_HERE, 8) == at &&
           number_at(header + HEADER_COUNT, 4) == ENTRIES && number_at(header + HEADER_ENTRY_BYTES, 4) == ENTRY_BYTES && entries > PRIMARY &&
           entries < disk->sectors - TABLE_SECTORS;
}

static bool entries_read(const struct disk *disk, struct table *table) {
    return sectors_read(disk, number_at(table->header + HEADER_ENTRIES, 8), table->entries, TABLE_BYTES) &&
           number_at(table->header + HEADER_TABLE_CRC, 4) == crc32_of(table->entries, TABLE_BYTES);
}

/* Whether nothing is where a table at the start of the disk usually is, but for parts of this one: some boot loaders are there, and then the
 * header, which is damaged, named another place. */
static bool start_is_free(const struct disk *disk, const struct table *table) {
    static uint8_t found[TABLE_BYTES];
    static const uint8_t nothing[SECTOR];
    if (!sectors_read(disk, PRIMARY + 1, found, sizeof found)) {
        return false;
    }
    bool is_free = true;
    for (size_t at = 0; at < TABLE_BYTES; at += SECTOR) {
        is_free = is_free && (memcmp(found + at, table->entries + at, SECTOR) == 0 || memcmp(found + at, nothing, SECTOR) == 0);
    }
    return is_free;
}

static bool is_used(const uint8_t *entry) {
    static const uint8_t nothing[16];
    return memcmp(entry, nothing, sizeof nothing) != 0;
}

/* The copy of this table that has its header here, and its entries there. */
static void table_placed(struct table *table, uint64_t here, uint64_t other, uint64_t entries) {
    put_number(table->header + HEADER_HERE, 8, here);
    put_number(table->header + HEADER_OTHER, 8, other);
    put_number(table->header + HEADER_ENTRIES, 8, entries);
    put_number(table->header + HEADER_TABLE_CRC, 4, crc32_of(table->entries, TABLE_BYTES));
    put_number(table->header + HEADER_CRC, 4, 0);
    put_number(table->header + HEADER_CRC, 4, crc32_of(table->header, (size_t)number_at(table->header + HEADER_BYTES, 4)));
}

static bool table_written(const struct disk *disk, const struct table *table) {
    uint64_t here = number_at(table->header + HEADER_HERE, 8), entries = number_at(table->header + HEADER_ENTRIES, 8);
    return sectors_written(disk, entries, table->entries, TABLE_BYTES) && sectors_written(disk, here, table->header, SECTOR) &&
           on_medium(disk, entries, table->entries, TABLE_BYTES) && on_medium(disk, here, table->header, SECTOR);
}

/* The record of an MBR that keeps others from a disk with a GPT says how long that is. */
static bool protection_written(const struct disk *disk) {
    uint8_t sector[SECTOR];
    if (!sectors_read(disk, 0, sector, sizeof sector)) {
        return false;
    }
    uint64_t count = last_sector(disk) < UINT32_MAX ? last_sector(disk) : UINT32_MAX;
    for (unsigned i = 0; i < 4; i++) {
        uint8_t *record = sector + MBR_RECORDS + i * MBR_RECORD_BYTES;
        if (record[MBR_TYPE] == PROTECTIVE && number_at(record + MBR_FIRST, 4) == PRIMARY && number_at(record + MBR_COUNT, 4) != count) {
            put_number(record + MBR_COUNT, 4, count);
            return sectors_written(disk, 0, sector, sizeof sector) && on_medium(disk, 0, sector, sizeof sector);
        }
    }
    return true;
}

/* Sets where the partition ends. */
static int gpt_grown(const struct disk *disk, unsigned number, struct partition *partition) {
    static struct table first, second;
    bool is_header = header_read(disk, PRIMARY, first.header), is_first = is_header && entries_read(disk, &first);
    bool is_second = header_read(disk, last_sector(disk), second.header) && entries_read(disk, &second);
    if (!is_first && !is_second) {
        return failed("%s: expected a partition table with a good checksum at its start or its end, found none", disk->name);
    }
    if (!is_header && !start_is_free(disk, &second)) {
        return failed("%s: expected a partition table or nothing at its start, found something else; its copy at the end is in use", disk->name);
    }
    if (number > ENTRIES) {
        return failed("%s: expected a partition from 1 to %u, found %u", disk->name, ENTRIES, number);
    }
    bool are_whole = is_first && is_second && memcmp(first.entries, second.entries, TABLE_BYTES) == 0 &&
                     number_at(first.header + HEADER_OTHER, 8) == last_sector(disk);
    static struct table table;
    table = is_first ? first : second;
    uint64_t last_usable = last_sector(disk) - TABLE_SECTORS - 1;
    uint64_t entries = is_header ? number_at(first.header + HEADER_ENTRIES, 8) : PRIMARY + 1;
    uint8_t *ours = table.entries + (number - 1) * ENTRY_BYTES;
    partition->last = number_at(ours + ENTRY_LAST, 8);
    if (!is_used(ours) || number_at(ours + ENTRY_FIRST, 8) != partition->first || partition->last < partition->first) {
        return failed("%s: expected partition %u to begin with sector %" PRIu64 ", found another table", disk->name, number, partition->first);
    }
    if (partition->last > last_usable || entries + TABLE_SECTORS > number_at(table.header + HEADER_FIRST, 8)) {
        return failed("%s: expected a table before its partitions and one behind them, found no room", disk->name);
    }
    bool is_last = true;
    for (unsigned i = 0; i < ENTRIES; i++) {
        const uint8_t *other = table.entries + i * ENTRY_BYTES;
        is_last = is_last && (other == ours || !is_used(other) || number_at(other + ENTRY_LAST, 8) < partition->first);
    }
    uint64_t end = last_usable + 1;
    bool is_grown = is_last && end >= partition->last + 1 + SMALLEST_GROWTH;
    if (!is_grown && are_whole) {
        return NOTHING_TO_DO;
    }
    if (is_grown) {
        partition->last = end - 1;
        put_number(ours + ENTRY_LAST, 8, partition->last);
    }
    put_number(table.header + HEADER_LAST, 8, last_usable);
    table_placed(&table, last_sector(disk), PRIMARY, last_sector(disk) - TABLE_SECTORS);
    bool is_written = table_written(disk, &table);
    if (is_written) {
        table_placed(&table, PRIMARY, last_sector(disk), entries);
        is_written = protection_written(disk) && table_written(disk, &table);
    }
    return !is_written ? failed("%s: the partition table could not be written: %s", disk->name, strerror(errno)) : is_grown ? GROWN : MADE_WHOLE;
}

/* ---- MBR ---- */

static int mbr_grown(const struct disk *disk, uint8_t *sector, unsigned number, struct partition *partition) {
    /* Logical partitions are in a chain of tables of their own. */
    if (number > 4) {
        return NOTHING_TO_DO;
    }
    uint8_t *ours = sector + MBR_RECORDS + (number - 1) * MBR_RECORD_BYTES;
    uint64_t count = number_at(ours + MBR_COUNT, 4);
    if (ours[MBR_TYPE] == 0 || count == 0 || number_at(ours + MBR_FIRST, 4) != partition->first) {
        return failed("%s: expected partition %u to begin with sector %" PRIu64 ", found another table", disk->name, number, partition->first);
    }
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *other = sector + MBR_RECORDS + i * MBR_RECORD_BYTES;
        if (other != ours && other[MBR_TYPE] != 0 && number_at(other + MBR_FIRST, 4) + number_at(other + MBR_COUNT, 4) > partition->first) {
            return NOTHING_TO_DO;
        }
    }
    uint64_t longest = partition->first + UINT32_MAX, end = disk->sectors < longest ? disk->sectors : longest;
    if (end < partition->first + count + SMALLEST_GROWTH) {
        return NOTHING_TO_DO;
    }
    partition->last = end - 1;
    put_number(ours + MBR_COUNT, 4, end - partition->first);
    /* Beyond what cylinders, heads and sectors can say. */
    memcpy(ours + MBR_END_CHS, "\xfe\xff\xff", 3);
    bool is_written = sectors_written(disk, 0, sector, SECTOR) && on_medium(disk, 0, sector, SECTOR);
    return is_written ? GROWN : failed("%s: the partition table could not be written: %s", disk->name, strerror(errno));
}

/* ---- the disk ---- */

static int disk_opened(struct disk *disk) {
    struct stat info;
    disk->file = open(disk->name, O_RDWR | O_CLOEXEC);
    if (disk->file < 0 || fstat(disk->file, &info) != 0) {
        return failed("%s: cannot be opened: %s", disk->name, strerror(errno));
    }
    uint64_t bytes = (uint64_t)info.st_size;
    int sector = SECTOR;
    disk->is_device = S_ISBLK(info.st_mode);
    if (disk->is_device && (ioctl(disk->file, BLKGETSIZE64, &bytes) != 0 || ioctl(disk->file, BLKSSZGET, &sector) != 0)) {
        return failed("%s: does not say how large it is: %s", disk->name, strerror(errno));
    }
    disk->sectors = bytes / SECTOR;
    if (sector != (int)SECTOR || disk->sectors < 4 * TABLE_SECTORS || disk->sectors > INT64_MAX / SECTOR) {
        return failed("%s: expected a disk with sectors of 512 bytes, found %" PRIu64 " bytes in sectors of %d", disk->name, bytes, sector);
    }
    return 0;
}

/* The kernel has read the table when the disk was found; a table in which other partitions are mounted it does not read again. */
static bool kernel_told(const struct disk *disk, unsigned number, const struct partition *partition) {
    struct blkpg_partition change = {
        .start = (long long)(partition->first * SECTOR),
        .length = (long long)((partition->last + 1 - partition->first) * SECTOR),
        .pno = (int)number,
    };
    struct blkpg_ioctl_arg argument = {.op = BLKPG_RESIZE_PARTITION, .datalen = (int)sizeof change, .data = &change};
    return !disk->is_device || ioctl(disk->file, BLKPG, &argument) == 0;
}

static bool number_read(const char *text, uint64_t most, uint64_t *number) {
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *number >= 1 && *number <= most;
}

int main(int argc, char **argv) {
    uint64_t number;
    struct partition partition;
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(usage, stdout);
        return fflush(stdout) == 0 ? 0 : FAILED;
    }
    if (argc != 4 || !number_read(argv[2], INT32_MAX, &number) || !number_read(argv[3], INT64_MAX / SECTOR, &partition.first)) {
        fputs(usage, stderr);
        return USAGE;
    }
    struct disk disk = {.name = argv[1]};
    uint8_t sector[SECTOR];
    int status = disk_opened(&disk);
    if (status != 0) {
        return status;
    }
    if (!sectors_read(&disk, 0, sector, sizeof sector)) {
        return failed("%s: cannot be read: %s", disk.name, strerror(errno));
    }
    bool is_gpt = false, is_mbr = sector[MBR_SIGNATURE] == 0x55 && sector[MBR_SIGNATURE + 1] == 0xaa;
    for (unsigned i = 0; i < 4; i++) {
        is_gpt = is_gpt || (is_mbr && sector[MBR_RECORDS + i * MBR_RECORD_BYTES + MBR_TYPE] == PROTECTIVE);
    }
    if (!is_mbr) {
        return failed("%s: expected a GPT or an MBR, found neither", disk.name);
    }
    status = is_gpt ? gpt_grown(&disk, (unsigned)number, &partition) : mbr_grown(&disk, sector, (unsigned)number, &partition);
    if (status == GROWN && !kernel_told(&disk, (unsigned)number, &partition)) {
        status = KERNEL_KEEPS_THE_OLD;
    }
    close(disk.file);
    return status;
}
