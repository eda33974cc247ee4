/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "format.h"

#include <getopt.h>
#include <openssl/crypto.h>
#include <string.h>

static const struct option options[] = {
    {"folder", required_argument, NULL, 'f'},     {"slot", required_argument, NULL, 's'},        {"running", required_argument, NULL, 'r'},
    {"slot-bytes", required_argument, NULL, 'b'}, {"progress-fd", required_argument, NULL, 'p'}, {"root", required_argument, NULL, 'o'},
    {"requests-fd", required_argument, NULL, 'q'}, {NULL, 0, NULL, 0},
};

int job_open(struct job *job, int argc, char **argv, int needs, struct reason *reason) {
    *job = (struct job){.progress_fd = -1, .requests_fd = -1};
    opterr = 0;
    optind = 1;
    int letter;
    while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (letter) {
        case 'f': job->folder = optarg; break;
        case 's': job->slot_name = optarg; break;
        case 'r': job->running_name = optarg; break;
        case 'o': job->root = optarg; break;
        case 'b':
            if (!number_understood(optarg, &job->slot_bytes) || job->slot_bytes == 0) {
                return fail(reason, CODE_USAGE, "--slot-bytes needs a number of bytes, found %.40s", optarg);
            }
            break;
        case 'p':
            if (!progress_fd_understood(optarg, &job->progress_fd)) {
                return fail(reason, CODE_USAGE, "--progress-fd needs the number of an open descriptor, found %.40s", optarg);
            }
            break;
        case 'q':
            if (!progress_fd_understood(optarg, &job->requests_fd)) {
                return fail(reason, CODE_USAGE, "--requests-fd needs the number of an open descriptor, found %.40s", optarg);
            }
            break;
        default: return fail(reason, CODE_USAGE, "%s: unknown option, or one without its value: %.100s", argv[0], argv[optind - 1]);
        }
    }
    if (optind != argc) {
        return fail(reason, CODE_USAGE, "%s takes only options, found %.100s", argv[0], argv[optind]);
    }
    if (job->folder == NULL || ((needs & NEEDS_SLOT) != 0 && job->slot_name == NULL) || ((needs & NEEDS_ROOT) != 0 && job->root == NULL)) {
        return fail(reason, CODE_USAGE, "%s needs --folder%s%s", argv[0], (needs & NEEDS_SLOT) != 0 ? ", --slot" : "",
                    (needs & NEEDS_ROOT) != 0 ? ", --root" : "");
    }
    return (needs & AFTER_CHECK) != 0 ? facts_read(&job->facts, job->folder, "facts", reason)
                                      : facts_read(&job->opened, job->folder, "opened", reason);
}

void job_close(struct job *job) {
    facts_free(&job->opened);
    facts_free(&job->facts);
}

bool job_is_further(const struct facts *facts) { return facts_are(facts, "bundle", "further"); }

int job_decrypts(const struct job *job, const struct facts *facts, struct source *source, struct reason *reason) {
    struct content_key key;
    char path[512];
    uint64_t cipher_offset;
    if (!job_is_further(facts) || !facts_are(facts, "encryption", "yes")) {
        return 0;
    }
    int code = facts_number(facts, "cipher_offset", &cipher_offset, reason);
    if (code == 0) {
        code = path_in(path, sizeof path, job->folder, "content-key") ? content_key_loaded(&key, path, reason)
                                                                      : fail(reason, CODE_USAGE, "the name of the folder is too long: %.100s", job->folder);
    }
    if (code == 0) {
        source_decrypts(source, &key, cipher_offset);
        OPENSSL_cleanse(&key, sizeof key);
    } else {
        source_close(source);
    }
    return code;
}

int job_source(struct job *job, struct source *source, struct reason *reason) {
    struct provider from;
    uint64_t file_bytes, offset, bytes;
    int code = provider_of_fd(&from, IMAGE_FD, &file_bytes, reason);
    if (code == 0) {
        code = facts_number(&job->facts, "payload_offset", &offset, reason);
    }
    if (code == 0) {
        code = facts_number(&job->facts, "payload_bytes", &bytes, reason);
    }
    if (code == 0) {
        code = source_loads(source, from, offset, bytes, job->folder, reason);
    }
    return code != 0 ? code : job_decrypts(job, &job->facts, source, reason);
}

int job_stream(struct job *job, struct source *source, struct stream **stream, struct reason *reason) {
    enum compression compression;
    const char *name = facts_get(&job->facts, "compression");
    if (name == NULL || !compression_named(name, &compression)) {
        return fail(reason, CODE_UNEXPECTED, "compression=%.40s of the check is not understood", name == NULL ? "" : name);
    }
    int code = job_source(job, source, reason);
    if (code == 0) {
        code = stream_open(stream, source, compression, facts_are(&job->facts, "authenticated", "yes"), reason);
        if (code != 0) {
            source_close(source);
        }
    }
    return code;
}

int reading_noted(const struct job *job, bool whole, struct reason *reason) {
    struct facts_out facts;
    int code = facts_begin(&facts, job->folder, "written", reason);
    if (code == 0) {
        facts_add(&facts, "read_back", whole ? "yes" : "no");
        code = facts_end(&facts, false, reason);
    }
    return code;
}

bool reading_is_noted(const struct job *job) {
    struct facts written;
    struct reason ignored;
    bool noted = facts_read(&written, job->folder, "written", &ignored) == 0 && facts_are(&written, "read_back", "yes");
    facts_free(&written);
    return noted;
}
