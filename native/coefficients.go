package main

import (
	"slices"
	"sync/atomic"
	"unsafe"
)

// Coefficients of encoded vectors, before they are reduced modulo anything: one word each instead of one for every
// limb.

// coefficientLimit is above the magnitude of all that a limb of any prime can be made of at once.
func (ctx *context) coefficientLimit() int64 {
	return int64(min(slices.Min(ctx.Moduli), slices.Min(ctx.SpecialModuli)))
}

// coefficients writes those of vectors of one period, residuesFor(period) of each vector; false if one does not fit.
func (ctx *context) coefficients(l *lane, out []int32, vectors []float64, period int, scaleOf func(vector int) float64) (bool, error) {
	length, limit := ctx.residuesFor(period), ctx.coefficientLimit()
	count := len(vectors) / period
	failures, fits := make([]error, count), atomic.Bool{}
	fits.Store(true)
	l.each(count, func(_ *lane, i int) {
		embedded, err := ctx.embed(vectors[i*period:(i+1)*period], length)
		if err != nil {
			failures[i] = err
			return
		}
		integers := make([]int64, length)
		if !ctx.round(integers, embedded, scaleOf(i)) {
			fits.Store(false)
			return
		}
		for j, integer := range integers {
			if integer <= -limit || integer >= limit {
				fits.Store(false)
				return
			}
			out[i*length+j] = int32(integer)
		}
	})
	return fits.Load(), first(failures)
}

// within tells whether all are below the limit.
func (ctx *context) within(coefficients []int32) bool {
	limit := int32(ctx.coefficientLimit())
	for _, coefficient := range coefficients {
		if coefficient <= -limit || coefficient >= limit {
			return false
		}
	}
	return true
}

// signed reads words as signed numbers.
func signed(words []uint32) []int32 {
	return unsafe.Slice((*int32)(unsafe.Pointer(unsafe.SliceData(words))), len(words))
}
