//  tern.h - everything a program needs
//
//  Start with tern/peer.h.  Guide: tern(7).
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TERN_H
#define TERN_H

#include <tern/config.h>
#include <tern/consumer.h>
#include <tern/directory.h>
#include <tern/error.h>
#include <tern/exchange.h>
#include <tern/fleet.h>
#include <tern/large.h>
#include <tern/log.h>
#include <tern/message.h>
#include <tern/peer.h>
#include <tern/producer.h>
#include <tern/request.h>
#include <tern/stats.h>
#include <tern/store.h>
#include <tern/version.h>

#endif
