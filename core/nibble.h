/* libnibble: load a language model, change how its numbers are stored, run it, measure what was lost.
 *
 * The one public header. A context owns the CPU level, the threads and the wish to stop; everything
 * else hangs on a model. Functions that can fail return nb_status and leave a sentence in nb_error.
 * The same call gives the same bits on every CPU level, thread count and batch size. */
#ifndef NIBBLE_H
#define NIBBLE_H

#define NIBBLE_VERSION "0.1.0"

#include "array/array.h"
#include "base/context.h"
#include "base/cpu.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/print.h"
#include "base/random.h"
#include "base/status.h"
#include "base/view.h"
#include "eval/activations.h"
#include "eval/bench.h"
#include "eval/evaluate.h"
#include "eval/footprint.h"
#include "eval/quiz.h"
#include "files/gguf.h"
#include "files/llama2c.h"
#include "files/load.h"
#include "files/npy.h"
#include "files/synthetic.h"
#include "files/vocabulary.h"
#include "formats/anatomy.h"
#include "formats/format.h"
#include "kernels/kernels.h"
#include "model/model.h"
#include "model/scope.h"
#include "quant/awq.h"
#include "quant/distill.h"
#include "quant/front.h"
#include "quant/gptq_model.h"
#include "quant/hqq_model.h"
#include "quant/importance.h"
#include "quant/ladder.h"
#include "quant/made.h"
#include "quant/quantize.h"
#include "quant/recipe.h"
#include "quant/rotate.h"
#include "quant/rtn.h"
#include "quant/samples.h"
#include "quant/simulate.h"
#include "quant/smooth.h"
#include "quant/transform.h"
#include "text/bpe_train.h"
#include "text/documents.h"
#include "text/generate.h"
#include "text/grammar.h"
#include "text/sampler.h"
#include "text/tokenizer.h"

#endif
