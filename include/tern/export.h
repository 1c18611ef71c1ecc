//  tern/export.h - what the library shows, and what the compiler may check
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TERN_EXPORT_H
#define TERN_EXPORT_H

#if defined(__GNUC__)
#define TERN_EXPORT __attribute__ ((visibility ("default")))
#define TERN_MUST_CHECK __attribute__ ((warn_unused_result))
#else
#define TERN_EXPORT
#define TERN_MUST_CHECK
#endif

#ifdef __cplusplus
#define TERN_BEGIN_DECLS extern "C" {
#define TERN_END_DECLS }
#else
#define TERN_BEGIN_DECLS
#define TERN_END_DECLS
#endif

#endif
