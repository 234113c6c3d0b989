// Asks itself for a dump many times, with five threads that wait; says before and after what it has: descriptors,
// mappings, threads, and kilobytes of resident memory.
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int entries(const char *path) {
    int count = 0;
    DIR *folder = opendir(path);
    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return count;
}

static int lines(const char *path, const char *start, int *value) {
    char line[4096];
    int count = 0;
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        count++;
        if (value && !strncmp(line, start, strlen(start)))
            *value = atoi(line + strlen(start));
    }
    if (file)
        fclose(file);
    return count;
}

static void say(const char *when) {
    int resident = 0;
    lines("/proc/self/status", "VmRSS:", &resident);
    printf("%s: %d descriptors, %d mappings, %d threads, resident %d\n", when, entries("/proc/self/fd"),
           lines("/proc/self/maps", "", NULL), entries("/proc/self/task"), resident);
    fflush(stdout);
}

static void *waiting(void *unused) {
    for (;;)
        pause();
    return unused;
}

int main(int count, char **arguments) {
    int rounds = count > 1 ? atoi(arguments[1]) : 200;
    pthread_t thread;
    for (int i = 0; i < 5; i++)
        pthread_create(&thread, NULL, waiting, NULL);
    say("warm");
    raise(SIGQUIT);
    say("before");
    for (int i = 1; i < rounds; i++)
        raise(SIGQUIT);
    say("after");
    return 0;
}
