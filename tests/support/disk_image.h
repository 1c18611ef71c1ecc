//  tests/support/disk_image.h - a store as text, to be kept and opened for ever
//
//      #  anything
//      file <path below the store> <size>
//      <offset> <hex bytes>
//
//  What is not named is zeros.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_TEST_DISK_IMAGE_H
#define TRN_TEST_DISK_IMAGE_H

#include "store/disk.h"

//  Write META and all outboxes of the store in that folder to a text file.
//  0 or -1.
int
test_image_save (trn_disk_t *disk, const char *store, const char *path,
                 const char *title);

//  The other way: make the store on this disk.  0 or -1.
int
test_image_load (trn_disk_t *disk, const char *store, const char *path);

#endif
