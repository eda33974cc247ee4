/* SPDX-License-Identifier: MIT */
/* ota-grow on a disk of 16 MiB whose tables come from the input: whatever they say, nothing is written but where tables are, and nothing at all
 * where it is refused. */
#include <stdlib.h>
#include <sys/mman.h>

#define main ota_grow_main
#include "../grow/ota-grow.c"
#undef main

#define DISK_SECTORS 32768u
#define FEW_ENTRIES (8 * ENTRY_BYTES)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The next bytes of the input; zeros when it has ended. */
static void taken(const uint8_t **data, size_t *size, uint8_t *to, size_t bytes) {
    size_t count = *size < bytes ? *size : bytes;
    memcpy(to, *data, count);
    memset(to + count, 0, bytes - count);
    *data += count, *size -= count;
}

/* What was put on the disk, of which the rest is a hole. Later pieces lie over earlier ones. */
static struct {
    uint64_t sector;
    uint8_t bytes[TABLE_BYTES];
    size_t count;
} pieces[5];
static size_t piece_count;

static void put(int file, uint64_t sector, const uint8_t *bytes, size_t count) {
    pieces[piece_count].sector = sector, pieces[piece_count].count = count;
    memcpy(pieces[piece_count++].bytes, bytes, count);
    if (pwrite(file, bytes, count, (off_t)(sector * SECTOR)) != (ssize_t)count) {
        abort();
    }
}

static void disk_made(int file, const uint8_t *data, size_t size) {
    uint8_t flags, mbr[SECTOR] = {0};
    static struct table table;
    memset(&table, 0, sizeof table);
    piece_count = 0;
    taken(&data, &size, &flags, 1);
    taken(&data, &size, mbr + MBR_RECORDS, 4 * MBR_RECORD_BYTES);
    mbr[MBR_SIGNATURE] = 0x55, mbr[MBR_SIGNATURE + 1] = 0xaa;
    put(file, 0, mbr, SECTOR);
    for (unsigned copy = 0; copy < 2; copy++) {
        uint64_t here = copy == 0 ? PRIMARY : DISK_SECTORS - 1;
        taken(&data, &size, table.header, HEADER_LEAST);
        taken(&data, &size, table.entries, FEW_ENTRIES);
        uint64_t bytes = number_at(table.header + HEADER_BYTES, 4), entries = number_at(table.header + HEADER_ENTRIES, 8);
        if (entries >= DISK_SECTORS - TABLE_SECTORS) {
            entries = copy == 0 ? PRIMARY + 1 : DISK_SECTORS - TABLE_SECTORS - 1;
        }
        /* A checksum is a wall for a fuzzer, and none for who writes the disk. */
        if ((flags >> copy & 1) && bytes <= SECTOR) {
            memcpy(table.header, "EFI PART", 8);
            table_placed(&table, here, number_at(table.header + HEADER_OTHER, 8), entries);
        }
        put(file, entries, table.entries, TABLE_BYTES);
        put(file, here, table.header, SECTOR);
    }
}

static void sector_before(uint64_t sector, uint8_t *bytes) {
    memset(bytes, 0, SECTOR);
    for (size_t i = 0; i < piece_count; i++) {
        if (sector >= pieces[i].sector && (sector - pieces[i].sector) * SECTOR < pieces[i].count) {
            memcpy(bytes, pieces[i].bytes + (sector - pieces[i].sector) * SECTOR, SECTOR);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char name[32], program[] = "ota-grow", number[] = "4", first[] = "7168";
    char *words[] = {program, name, number, first, NULL};
    int file = memfd_create("disk", 0);
    if (file < 0 || ftruncate(file, (off_t)DISK_SECTORS * SECTOR) != 0 || snprintf(name, sizeof name, "/proc/self/fd/%d", file) < 0) {
        abort();
    }
    disk_made(file, data, size);
    uint8_t before[SECTOR], after[SECTOR];
    sector_before(PRIMARY, before);
    uint64_t moved = number_at(before + HEADER_ENTRIES, 8);
    int status = ota_grow_main(4, words);
    bool is_refused = status != GROWN && status != MADE_WHOLE;
    for (off_t at = 0; (at = lseek(file, at, SEEK_DATA)) >= 0;) {
        for (off_t end = lseek(file, at, SEEK_HOLE); at < end; at += SECTOR) {
            uint64_t sector = (uint64_t)at / SECTOR;
            bool is_table = sector < 34 || sector >= DISK_SECTORS - 33 || (sector >= moved && sector - moved < TABLE_SECTORS);
            sector_before(sector, before);
            if (pread(file, after, SECTOR, at) != SECTOR || ((is_refused || !is_table) && memcmp(before, after, SECTOR) != 0)) {
                abort();
            }
        }
    }
    close(file);
    return 0;
}
