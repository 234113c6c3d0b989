// Uses the relay without preloading, by its C interface.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <threaddump_relay.h>

int main(int count, char **arguments) {
    if (count < 2 || threaddump_relay_install("what=ever") != 1)
        return 1;
    if (threaddump_relay_install(arguments[1]) != 0 || threaddump_relay_install(NULL) != 2)
        return 2;
    raise(SIGQUIT);
    puts("went on");
    return 0;
}
