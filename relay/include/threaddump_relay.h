/* Dumps all threads of a program on SIGQUIT and when it crashes: threaddump-relay(7). */
#ifndef THREADDUMP_RELAY_H
#define THREADDUMP_RELAY_H

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Installs the relay, once, for the whole process. `settings` are those of the environment variable
 * THREADDUMP, as in "out=/var/tmp/%p.txt,quit=go"; null for the defaults.
 *
 * Returns 0, 1 if the settings are not understood, 2 if it is installed already, 3 if it cannot be.
 */
int threaddump_relay_install(const char *settings);

#ifdef __cplusplus
}
#endif

#endif
