/* Includes every other public header of Parvin. */
#ifndef PARVIN_H
#define PARVIN_H

#include "parvin/status.h"
#include "parvin/model.h"
#include "parvin/chat.h"
#include "parvin/device.h"
#include "parvin/clusters.h"
#include "parvin/session.h"
#include "parvin/sequences.h"
#include "parvin/placement.h"
#include "parvin/eval.h"
#include "parvin/density.h"
#include "parvin/fit.h"
#include "parvin/bench.h"
#include "parvin/conform.h"
#include "parvin/trace.h"

#define PV_VERSION "0.1.0"

#endif
