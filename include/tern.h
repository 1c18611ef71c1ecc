//  tern.h - everything a program needs
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TERN_H
#define TERN_H

#include <tern/error.h>
#include <tern/export.h>

#endif
