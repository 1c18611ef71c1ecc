//  ternd/notify.h - telling systemd, if it is asked to
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TERND_NOTIFY_H
#define TERND_NOTIFY_H

//  Send a state such as "READY=1" to $NOTIFY_SOCKET (sd_notify(3)).  Without
//  that variable, or without a listener there, nothing happens.
void
ternd_notify (const char *state);

#endif
