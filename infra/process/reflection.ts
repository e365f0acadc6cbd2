import { BinaryReader } from '@bufbuild/protobuf/wire';
import { ReflectionService } from '@grpc/reflection';
import { DESCRIPTOR_SET_BASE64 } from '../../proto/gen/descriptor-set.ts';

/** FileDescriptorSet.file: field 1, length-delimited. */
const FILE_TAG = (1 << 3) | 2;

/**
 * Server reflection, v1 and v1alpha, of the named services. It serves the compiler's own descriptors: what @grpc/proto-loader
 * makes of them names types relatively and leaves the imports out, and grpcurl cannot resolve google.protobuf.Timestamp then.
 */
export function createReflection(services: readonly string[]): ReflectionService {
  const fileDescriptorProtos = filesOf(Buffer.from(DESCRIPTOR_SET_BASE64, 'base64'));
  // A package definition is a map of named definitions; the service reads only the files of each, here of one for all.
  const definition = { format: 'Protocol Buffer 3 EnumDescriptorProto' as const, type: {}, fileDescriptorProtos };
  return new ReflectionService({ files: definition }, { services: [...services] });
}

/** The encoded FileDescriptorProtos of an encoded google.protobuf.FileDescriptorSet. */
function filesOf(set: Uint8Array): Buffer[] {
  const reader = new BinaryReader(set);
  const files: Buffer[] = [];
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === FILE_TAG) {
      files.push(Buffer.from(reader.bytes()));
    } else {
      reader.skip(tag & 7);
    }
  }
  return files;
}
