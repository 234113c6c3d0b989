/* Dumps all threads of a program on SIGQUIT and when it crashes: threaddump-relay(7).
 * Generated from relay/src/sys/capi.rs. */

#ifndef THREADDUMP_RELAY_H
#define THREADDUMP_RELAY_H

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Installs the relay, once, for the whole process, with settings as in the environment variable `THREADDUMP`:
 "out=/var/tmp/%p.txt,quit=go" for instance, or NULL for the defaults. The calling thread is given an alternate
 signal stack if it has none. A program that is linked statically needs `-Wl,--eh-frame-hdr`, or the relay finds no
 unwind information in it.

 Returns 0, or 1 if the settings are not understood or contradict each other, 2 if it is installed already, and
 3 if it cannot be.

 # Safety
 `settings` must be null or a string that ends with a zero byte.
 */
int threaddump_relay_install(const char *settings);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* THREADDUMP_RELAY_H */
