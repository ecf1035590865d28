import { Match, Template } from 'aws-cdk-lib/assertions';
import { leastSettings, propertiesOf, stacksOf, statement, textOf } from './helpers/app';

const template = Template.fromStack(
  stacksOf({ ...leastSettings, artifacts: { reportDays: 100, dataDays: 7 } }).migration,
);

test('the bucket is encrypted with our key, closed to the public, and reached over TLS only', () => {
  template.hasResourceProperties('AWS::S3::Bucket', {
    BucketEncryption: {
      ServerSideEncryptionConfiguration: [
        Match.objectLike({ ServerSideEncryptionByDefault: Match.objectLike({ SSEAlgorithm: 'aws:kms' }) }),
      ],
    },
    PublicAccessBlockConfiguration: {
      BlockPublicAcls: true,
      BlockPublicPolicy: true,
      IgnorePublicAcls: true,
      RestrictPublicBuckets: true,
    },
  });
  template.hasResourceProperties('AWS::S3::BucketPolicy', {
    PolicyDocument: {
      Statement: Match.arrayWith([
        Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
        Match.objectLike({ Effect: 'Deny', Condition: { NumericLessThan: { 's3:TlsVersion': 1.2 } } }),
      ]),
    },
  });
});

test('what may hold rows expires sooner than reports, and everything does', () => {
  const { LifecycleConfiguration } = propertiesOf<{
    LifecycleConfiguration: { Rules: { Prefix?: string; ExpirationInDays?: number }[] };
  }>(template, 'AWS::S3::Bucket', /^Artifacts/);
  const days = Object.fromEntries(
    LifecycleConfiguration.Rules.map((rule) => [rule.Prefix ?? 'all', rule.ExpirationInDays]),
  );
  expect(days).toEqual({ 'reports/': 100, 'dumps/': 7, 'logs/': 7, 'samples/': 7, all: undefined });
  expect(LifecycleConfiguration.Rules).toContainEqual({
    Id: 'unfinished',
    Status: 'Enabled',
    AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 },
  });
});

test('it outlives the stack', () => template.hasResource('AWS::S3::Bucket', { DeletionPolicy: 'Retain' }));

test('the host adds objects under those prefixes, and neither reads nor deletes', () => {
  expect(statement(template, 'AddArtifacts')['Action']).toBe('s3:PutObject');
  const resources = [statement(template, 'AddArtifacts')['Resource']].flat().map(textOf);
  expect(resources.map((resource) => resource.replace(/^.*\//, '').length)).toEqual([1, 1, 1, 1]);
  expect(statement(template, 'ArtifactsKey')).toMatchObject({
    Condition: { StringLike: { 'kms:ViaService': 's3.*.amazonaws.com' } },
  });
});

test('a document collects report and logs, with the bucket as a variable', () => {
  const { Content } = propertiesOf<{
    Content: {
      parameters: { Bucket: { interpolationType: string } };
      mainSteps: { inputs: { runCommand: string[] } }[];
    };
  }>(template, 'AWS::SSM::Document', /^Collect/);
  expect(Content.parameters.Bucket.interpolationType).toBe('ENV_VAR');
  expect(Content.mainSteps[0]?.inputs.runCommand.join('\n')).toMatch(
    /ibex" report >.*\n.*s3:\/\/\$SSM_Bucket\/reports\//,
  );
});
