/* SPDX-License-Identifier: MIT */
/* client SOCKET COMMAND [ARGUMENT]: gives a command to otamgr. Words of letters, digits and - . _ only, which JSON needs no escapes for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char line[65536];
    int to = socket(AF_UNIX, SOCK_STREAM, 0);

    if (argc < 3 || argc > 4 || to < 0 || strlen(argv[1]) >= sizeof address.sun_path) {
        return 2;
    }
    strcpy(address.sun_path, argv[1]);
    if (connect(to, (struct sockaddr *)&address, sizeof address) != 0) {
        perror(argv[1]);
        return 127;
    }
    dprintf(to, "{\"protocol\":1,\"arguments\":[\"%s\"%s%s%s]}\n", argv[2], argc > 3 ? ",\"" : "", argc > 3 ? argv[3] : "", argc > 3 ? "\"" : "");
    for (FILE *from = fdopen(to, "r"); from != NULL && fgets(line, sizeof line, from) != NULL;) {
        if (line[0] == 'x') {
            return atoi(line + 2);
        }
        fputs(line + 2, line[0] == 'o' ? stdout : stderr);
        fflush(stdout);
    }
    return 1;
}
