// Puts a data file in the place of standard error, as a daemon may that opens files.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

int main(int count, char **arguments) {
    if (count > 1) {
        int fd = open(arguments[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
        write(fd, "data\n", 5);
        dup2(fd, 2);
    }
    raise(SIGQUIT);
    puts("went on");
    fflush(stdout);
    if (count > 2)
        *(volatile int *)0 = 1;
    return 0;
}
